;; tries: to stream where there is no trace
;; places: describe tools
;; holds: completes
;; imports: emit.chunk
;; spec: 46

(func $attack
  (call $emit.chunk (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 352) (i32.const 6) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 1024))
  ;; It crashes if it was let.
  (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable)))
