;; tries: to send something to be shown whose end wraps around to its beginning
;; places: handle call
;; holds: fault
;; imports: emit.progress
;; spec: 17 18

(func $attack
  (call $emit.progress (i32.const 352) (i32.const 4) (i32.const -16) (i32.const 32) (i32.const 1024)))
