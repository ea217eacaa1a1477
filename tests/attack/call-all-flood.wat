;; tries: to ask for tools that it may not call, ten at once, without an end
;; places: handle
;; holds: limit host_calls
;; imports: tools.all
;; grants: { tools: [attack/good] }
;; with: host_calls=20000
;; spec: 19 46

(func $attack (loop $again
  ;; Room for the answers, again and again.
  (global.set $free (i32.const 65536))
  (call $tools.all (i32.const 4096) (i32.const 10) (i32.const 1024))
  (br $again)))
