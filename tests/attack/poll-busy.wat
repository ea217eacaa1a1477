;; tries: to poll what is ready without an end
;; places: handle
;; holds: limit host_calls
;; imports: clock.after poll.poll
;; with: host_calls=20000
;; spec: 1 19

(func $attack
  (i32.store (i32.const 1024) (call $clock.after (i64.const 0)))
  (loop $again
    (call $poll.poll (i32.const 1024) (i32.const 1) (i32.const 1032))
    (br $again)))
