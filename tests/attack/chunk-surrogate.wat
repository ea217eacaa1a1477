;; tries: to send a piece of a stream with a lone surrogate
;; places: handle call
;; holds: fault
;; imports: emit.chunk
;; spec: 17 18

(func $attack
  (call $emit.chunk (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048) (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 1024)))
(data (i32.const 2048) "\ed\a0\80")
