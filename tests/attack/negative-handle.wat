;; tries: to use the handle of no table
;; places: handle
;; holds: fault
;; imports: pollable.ready
;; spec: 18

(func $attack (drop (call $pollable.ready (i32.const -1))))
