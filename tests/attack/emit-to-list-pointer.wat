;; tries: to send an emission to a list of successors that lies beyond its memory
;; places: handle
;; holds: fault
;; imports: emit.message
;; spec: 18 19

(func $attack
  (call $emit.message (i32.const 364) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const -65536) (i32.const 4) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024)))
