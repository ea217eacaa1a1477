;; tries: to keep values without an end
;; places: handle call
;; holds: limit state.bytes
;; imports: state.set
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 13 19

(func $attack (local $n i32)
  (memory.fill (i32.const 4096) (i32.const 49) (i32.const 1000))
  (i32.store8 (i32.const 4096) (i32.const 34))
  (i32.store8 (i32.const 5095) (i32.const 34))
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    ;; A key that was not there before: three letters that count.
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (i32.store8 (i32.const 2048) (i32.add (i32.const 40) (i32.and (local.get $n) (i32.const 63))))
    (i32.store8 (i32.const 2049) (i32.add (i32.const 40) (i32.and (i32.shr_u (local.get $n) (i32.const 6)) (i32.const 63))))
    (i32.store8 (i32.const 2050) (i32.add (i32.const 40) (i32.and (i32.shr_u (local.get $n) (i32.const 12)) (i32.const 63))))
    (call $state.set (i32.const 0) (i32.const 2048) (i32.const 3) (i32.const 4096) (i32.const 1000) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
