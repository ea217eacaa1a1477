;; tries: to make millions of calls of nothing at once
;; places: handle
;; holds: limit hostcall
;; imports: tools.all
;; grants: { tools: [attack/good] }
;; spec: 17 19

(func $attack
  (call $reach (i32.const 60065536))
  (call $tools.all (i32.const 65536) (i32.const 3700000) (i32.const 1024)))
