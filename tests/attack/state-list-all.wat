;; tries: to list four billion keys
;; places: handle
;; holds: completes
;; imports: state.set state.keys
;; grants: { state: { space: keys, bytes: 64MiB } }
;; spec: 17 19

(func $attack (local $n i32)
  (loop $next
    ;; A key that was not there before: three letters that count.
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (i32.store8 (i32.const 2048) (i32.add (i32.const 40) (i32.and (local.get $n) (i32.const 63))))
    (i32.store8 (i32.const 2049) (i32.add (i32.const 40) (i32.and (i32.shr_u (local.get $n) (i32.const 6)) (i32.const 63))))
    (i32.store8 (i32.const 2050) (i32.add (i32.const 40) (i32.and (i32.shr_u (local.get $n) (i32.const 12)) (i32.const 63))))
    (call $state.set (i32.const 0) (i32.const 2048) (i32.const 3) (i32.const 364) (i32.const 1) (i32.const 1024))
    ;; As many as it may.
    (br_if $next (i32.and (i32.eqz (i32.load8_u (i32.const 1024))) (i32.lt_u (local.get $n) (i32.const 2000)))))
  (call $state.keys (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 1024))
  ;; It crashes if it gets none, or more than a thousand.
  (if (i32.load8_u (i32.const 1024)) (then unreachable))
  (if (i32.gt_u (i32.sub (i32.load (i32.const 1036)) (i32.const 1)) (i32.const 999)) (then unreachable)))
