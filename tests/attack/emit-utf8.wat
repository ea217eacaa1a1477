;; tries: to send an emission that is not UTF-8
;; places: handle call
;; holds: fault
;; imports: emit.message
;; spec: 17 18

(func $attack
  (call $emit.message (i32.const 2048) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024)))
(data (i32.const 2048) "\ff\fe\fd\fc")
