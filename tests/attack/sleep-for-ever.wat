;; tries: to sleep until the end of time
;; places: handle
;; holds: limit wall
;; imports: clock.at pollable.block
;; with: wall=100ms
;; spec: 1 3

(func $attack (call $pollable.block (call $clock.at (i64.const -1))))
