;; tries: to keep so many small values that their keys are what hurts
;; places: handle
;; holds: limit state.keys, limit state_writes
;; imports: state.set
;; grants: { state: { space: keys, bytes: 64MiB } }
;; spec: 13 19

(func $attack (local $n i32)
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    ;; A key that was not there before: three letters that count.
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (i32.store8 (i32.const 2048) (i32.add (i32.const 40) (i32.and (local.get $n) (i32.const 63))))
    (i32.store8 (i32.const 2049) (i32.add (i32.const 40) (i32.and (i32.shr_u (local.get $n) (i32.const 6)) (i32.const 63))))
    (i32.store8 (i32.const 2050) (i32.add (i32.const 40) (i32.and (i32.shr_u (local.get $n) (i32.const 12)) (i32.const 63))))
    (call $state.set (i32.const 0) (i32.const 2048) (i32.const 3) (i32.const 364) (i32.const 1) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
