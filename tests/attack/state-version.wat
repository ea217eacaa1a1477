;; tries: to overwrite a value of a version that it does not know
;; places: handle
;; holds: told conflict
;; imports: state.compare-and-set
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 45

(func $attack
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    (call $state.compare-and-set (i32.const 0) (i32.const 352) (i32.const 6) (i64.const -1) (i32.const 364) (i32.const 1)
      (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
