;; tries: to keep values without a grant
;; places: handle
;; holds: refused not-granted
;; imports: state.set
;; spec: 40 45

(func $attack
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    (call $state.set (i32.const 0) (i32.const 352) (i32.const 6) (i32.const 364) (i32.const 1) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
