;; tries: to send something to be shown that is not UTF-8
;; places: handle call
;; holds: fault
;; imports: emit.progress
;; spec: 17 18

(func $attack
  (call $emit.progress (i32.const 352) (i32.const 4) (i32.const 2048) (i32.const 4) (i32.const 1024)))
(data (i32.const 2048) "\ff\fe\fd\fc")
