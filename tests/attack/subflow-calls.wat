;; tries: to run a flow that it may run, without an end
;; places: handle call
;; holds: limit calls
;; imports: subflow.call
;; grants: { subflow: [inner] }
;; with: calls=100
;; spec: 19 46

(func $attack
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    (call $subflow.call (i32.const 2048) (i32.const 5) (i32.const 364) (i32.const 1) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
(data (i32.const 2048) "inner")
