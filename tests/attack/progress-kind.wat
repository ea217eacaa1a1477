;; tries: to show something whose kind clears the screen
;; places: handle
;; holds: told invalid-input
;; imports: emit.progress
;; spec: 21 41

(func $attack
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    (call $emit.progress (i32.const 2048) (i32.const 5) (i32.const 364) (i32.const 1) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
(data (i32.const 2048) "\1b[2Jx")
