;; tries: to have the disk written to without an end, within its quota
;; places: handle call
;; holds: limit state_writes
;; imports: state.set
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 13 19

;; Until it is refused; the refusal is what it fails with.
(func $attack (loop $next
  (call $state.set (i32.const 0) (i32.const 352) (i32.const 6) (i32.const 364) (i32.const 1) (i32.const 1024))
  (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
