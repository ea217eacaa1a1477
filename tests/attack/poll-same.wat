;; tries: to wait for the same thing a million times over
;; places: handle
;; holds: limit hostcall
;; imports: clock.after poll.poll
;; with: wall=500ms
;; spec: 17 19

(func $attack (local $at i32) (local $handle i32)
  (call $reach (i32.const 4065536))
  (local.set $handle (call $clock.after (i64.const -1)))
  (local.set $at (i32.const 65536))
  (loop $next
    (i32.store (local.get $at) (local.get $handle))
    (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 4065536))))
  (call $poll.poll (i32.const 65536) (i32.const 1000000) (i32.const 1032)))
