;; tries: to run a flow where there is no trace
;; places: describe tools
;; holds: completes
;; imports: subflow.call
;; grants: { subflow: [inner] }
;; spec: 46

(func $attack
  (call $subflow.call (i32.const 2048) (i32.const 5) (i32.const 364) (i32.const 1) (i32.const 1024))
  ;; It crashes if it was let.
  (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable)))
(data (i32.const 2048) "inner")
