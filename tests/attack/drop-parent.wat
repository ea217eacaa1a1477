;; tries: to give a stream back while it waits for it
;; places: handle
;; holds: fault
;; imports: stdin input.subscribe input.drop pollable.block
;; spec: 18

(func $attack (local $stream i32) (local $pollable i32)
  (local.set $stream (call $stdin))
  (local.set $pollable (call $input.subscribe (local.get $stream)))
  (call $input.drop (local.get $stream))
  (call $pollable.block (local.get $pollable)))
