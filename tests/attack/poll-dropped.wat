;; tries: to wait for a thing that it has given back
;; places: handle
;; holds: fault
;; imports: clock.after pollable.drop pollable.block
;; spec: 18

(func $attack (local $handle i32)
  (local.set $handle (call $clock.after (i64.const 0)))
  (call $pollable.drop (local.get $handle))
  (call $pollable.block (local.get $handle)))
