;; tries: to send an emission to a list of successors whose bytes wrap around
;; places: handle
;; holds: fault
;; imports: emit.message
;; spec: 18 19

(func $attack
  (call $emit.message (i32.const 364) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 2048) (i32.const 0x20000001) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024)))
