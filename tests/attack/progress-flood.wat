;; tries: to show something without an end
;; places: handle call
;; holds: limit host_calls
;; imports: emit.progress
;; with: host_calls=50000
;; spec: 19

(func $attack
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    (call $emit.progress (i32.const 352) (i32.const 6) (i32.const 364) (i32.const 1) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
