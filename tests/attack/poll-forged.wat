;; tries: to wait for a thing that it was not given
;; places: handle
;; holds: fault
;; imports: pollable.block
;; spec: 18

(func $attack (call $pollable.block (i32.const 4711)))
