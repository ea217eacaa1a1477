;; tries: to take and to give back without an end
;; places: handle
;; holds: limit host_calls
;; imports: clock.after pollable.drop
;; with: host_calls=20000
;; spec: 13 19

(func $attack (loop $again (call $pollable.drop (call $clock.after (i64.const 1))) (br $again)))
