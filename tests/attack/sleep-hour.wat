;; tries: to sleep for an hour
;; places: initialize describe handle tools call
;; holds: limit wall
;; imports: clock.after pollable.block
;; with: wall=100ms
;; spec: 1 3

(func $attack (call $pollable.block (call $clock.after (i64.const 3600000000000))))
