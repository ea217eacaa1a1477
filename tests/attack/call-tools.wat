;; tries: to call a tool that it may call, without an end
;; places: handle call
;; holds: limit calls
;; imports: tools.call
;; grants: { tools: [attack/good] }
;; with: calls=100
;; spec: 19 46

(func $attack
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    (call $tools.call (i32.const 2048) (i32.const 11) (i32.const 362) (i32.const 2) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
(data (i32.const 2048) "attack/good")
