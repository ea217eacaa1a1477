;; tries: to wait for millions of things that there are not
;; places: handle
;; holds: limit hostcall
;; imports: poll.poll
;; spec: 17 19

(func $attack
  (call $reach (i32.const 60065536))
  (call $poll.poll (i32.const 65536) (i32.const 15000000) (i32.const 1032)))
