;; tries: to send an emission to a list of successors of millions of empty texts
;; places: handle
;; holds: limit hostcall
;; imports: emit.message
;; spec: 17 19

(func $attack
  (call $reach (i32.const 60065536))
  (call $emit.message (i32.const 364) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 7400000) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024)))
