;; tries: to send a piece of a stream whose end wraps around to its beginning
;; places: handle call
;; holds: fault
;; imports: emit.chunk
;; spec: 17 18

(func $attack
  (call $emit.chunk (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -16) (i32.const 32) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 1024)))
