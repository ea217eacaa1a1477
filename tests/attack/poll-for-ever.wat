;; tries: to wait for what never comes, in short waits
;; places: handle call
;; holds: limit wall
;; imports: clock.after poll.poll
;; with: wall=100ms
;; spec: 1 2

(func $attack
  (i32.store (i32.const 1024) (call $clock.after (i64.const -1)))
  (i32.store (i32.const 1028) (call $clock.after (i64.const -1)))
  (loop $again
    (call $poll.poll (i32.const 1024) (i32.const 2) (i32.const 1032))
    (br $again)))
