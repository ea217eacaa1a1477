;; tries: to ask without an end
;; places: handle call
;; holds: limit requests
;; imports: http.send
;; grants: { http: [{ scheme: http, host: 127.0.0.1, ports: [99999], methods: [GET, POST], private: true }] }
;; with: requests=16
;; spec: 19 28

(func $attack
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    (call $http.send (i32.const 2040) (i32.const 3) (i32.const 2048) (i32.const 23) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
(data (i32.const 2040) "GET")
(data (i32.const 2048) "http://127.0.0.1:99999/")
