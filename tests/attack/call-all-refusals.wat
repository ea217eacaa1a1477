;; tries: to have the host refuse thousands of calls at once, without an end
;; places: handle
;; holds: limit host_calls, limit wall, limit fuel
;; imports: tools.all
;; grants: { tools: [attack/good] }
;; with: wall=2s
;; spec: 1 17 19

(func $attack
  (call $reach (i32.const 900000))
  ;; Where its own call was handed over.
  (memory.fill (i32.const 65536) (i32.const 0) (i32.const 800000))
  (loop $again
    ;; Room for the answers, again and again.
    (global.set $free (i32.const 900000))
    (call $tools.all (i32.const 65536) (i32.const 50000) (i32.const 1024))
    (br $again)))
