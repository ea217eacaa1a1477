;; tries: to have time pass where it stands still, by the clock that only goes on
;; places: handle
;; holds: completes
;; imports: time.monotonic
;; grants: { clock: { fixed: "2026-01-01T00:00:00Z" } }
;; spec: 44

(func $attack (local $then i64) (local $times i32)
  (local.set $then (call $time.monotonic))
  (loop $again
    (br_if $again (i32.lt_u (local.tee $times (i32.add (local.get $times) (i32.const 1))) (i32.const 10000000))))
  (if (i64.ne (local.get $then) (call $time.monotonic)) (then unreachable)))
