;; tries: to send an emission of sixty million bytes
;; places: handle call
;; holds: limit hostcall
;; imports: emit.message
;; spec: 17 18

(func $attack
  (call $reach (i32.const 60065536))
  (call $emit.message (i32.const 65536) (i32.const 60000000) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024)))
