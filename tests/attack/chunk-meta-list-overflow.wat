;; tries: to send a piece with a list of keys whose bytes wrap around
;; places: handle
;; holds: fault
;; imports: emit.chunk
;; spec: 18 19

(func $attack
  (call $emit.chunk (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 364) (i32.const 1) (i32.const 0) (i32.const 2048) (i32.const 0x20000001)
    (i32.const 0) (i32.const 0) (i32.const 1024)))
