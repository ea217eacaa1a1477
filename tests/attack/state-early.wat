;; tries: to keep values where there is no tenant
;; places: describe tools
;; holds: completes
;; imports: state.set
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 45 46

(func $attack
  (call $state.set (i32.const 0) (i32.const 352) (i32.const 6) (i32.const 364) (i32.const 1) (i32.const 1024))
  ;; It crashes if it was let.
  (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable)))
