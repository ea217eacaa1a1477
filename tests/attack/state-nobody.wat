;; tries: to keep values of a user that there is not
;; places: handle
;; holds: told invalid-input
;; imports: state.set
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 45

(func $attack
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    (call $state.set (i32.const 1) (i32.const 352) (i32.const 6) (i32.const 364) (i32.const 1) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
