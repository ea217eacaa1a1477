;; tries: to give a thing back twice
;; places: handle
;; holds: fault
;; imports: clock.after pollable.drop
;; spec: 18

(func $attack (local $handle i32)
  (local.set $handle (call $clock.after (i64.const 0)))
  (call $pollable.drop (local.get $handle))
  (call $pollable.drop (local.get $handle)))
