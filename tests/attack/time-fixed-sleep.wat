;; tries: to sleep for an hour where time stands still
;; places: handle
;; holds: limit wall
;; imports: clock.after pollable.block
;; grants: { clock: { fixed: "2026-01-01T00:00:00Z" } }
;; with: wall=100ms
;; spec: 1 44

(func $attack (call $pollable.block (call $clock.after (i64.const 3600000000000))))
