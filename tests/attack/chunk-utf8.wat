;; tries: to send a piece of a stream that is not UTF-8
;; places: handle call
;; holds: fault
;; imports: emit.chunk
;; spec: 17 18

(func $attack
  (call $emit.chunk (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 1024)))
(data (i32.const 2048) "\ff\fe\fd\fc")
