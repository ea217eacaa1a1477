;; tries: to call a tool where there is no trace
;; places: describe tools
;; holds: completes
;; imports: tools.call
;; grants: { tools: [other/tool] }
;; spec: 46

(func $attack
  (call $tools.call (i32.const 2048) (i32.const 10) (i32.const 362) (i32.const 2) (i32.const 1024))
  ;; It crashes if it was let.
  (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable)))
(data (i32.const 2048) "other/tool")
