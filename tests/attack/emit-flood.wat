;; tries: to emit without an end
;; places: handle call
;; holds: limit emits
;; imports: emit.message
;; with: emits=10000
;; spec: 13 19

(func $attack
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    (call $emit.message (i32.const 364) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
