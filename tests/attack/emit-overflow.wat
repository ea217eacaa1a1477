;; tries: to send an emission whose end wraps around to its beginning
;; places: handle call
;; holds: fault
;; imports: emit.message
;; spec: 17 18

(func $attack
  (call $emit.message (i32.const -16) (i32.const 32) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024)))
