;; tries: to show something where nobody looks
;; places: describe tools
;; holds: completes
;; imports: emit.progress
;; spec: 46

(func $attack
  (call $emit.progress (i32.const 352) (i32.const 6) (i32.const 364) (i32.const 1) (i32.const 1024))
  ;; It crashes if it was let.
  (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable)))
