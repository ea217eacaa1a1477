;; tries: to send an emission with a lone surrogate
;; places: handle call
;; holds: fault
;; imports: emit.message
;; spec: 17 18

(func $attack
  (call $emit.message (i32.const 2048) (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024)))
(data (i32.const 2048) "\ed\a0\80")
