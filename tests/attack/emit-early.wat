;; tries: to emit where there is no trace
;; places: describe tools
;; holds: completes
;; imports: emit.message
;; spec: 46

(func $attack
  (call $emit.message (i32.const 364) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024))
  ;; It crashes if it was let.
  (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable)))
