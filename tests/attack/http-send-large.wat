;; tries: to send more than it may
;; places: handle
;; holds: limit egress_bytes
;; imports: http.send
;; grants: { http: [{ scheme: http, host: 127.0.0.1, ports: [99999], methods: [GET, POST], private: true }] }
;; with: egress_bytes=1MiB
;; spec: 13

(func $attack
  (call $reach (i32.const 3000000))
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    (call $http.send (i32.const 2036) (i32.const 4) (i32.const 2048) (i32.const 23) (i32.const 0) (i32.const 0)
    (i32.const 1) (i32.const 65536) (i32.const 2000000) (i32.const 0) (i64.const 0) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
(data (i32.const 2036) "POST")
(data (i32.const 2048) "http://127.0.0.1:99999/")
