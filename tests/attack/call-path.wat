;; tries: to call a tool whose name is a path
;; places: handle
;; holds: told denied
;; imports: tools.call
;; grants: { tools: [other/tool] }
;; spec: 21 46

(func $attack
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    (call $tools.call (i32.const 2048) (i32.const 16) (i32.const 362) (i32.const 2) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
(data (i32.const 2048) "../../etc/passwd")
