;; tries: to ask without a grant
;; places: handle
;; holds: refused not-granted
;; imports: http.send
;; spec: 40 45

(func $attack
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    (call $http.send (i32.const 2040) (i32.const 3) (i32.const 2048) (i32.const 23) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
