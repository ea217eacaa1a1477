;; tries: to send something to be shown with a lone surrogate
;; places: handle call
;; holds: fault
;; imports: emit.progress
;; spec: 17 18

(func $attack
  (call $emit.progress (i32.const 352) (i32.const 4) (i32.const 2048) (i32.const 3) (i32.const 1024)))
(data (i32.const 2048) "\ed\a0\80")
