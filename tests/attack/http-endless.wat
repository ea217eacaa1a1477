;; tries: to get an answer without an end
;; places: handle
;; holds: limit http_in
;; imports: http.send
;; grants: { http: [{ scheme: http, host: 127.0.0.1, ports: [99999], methods: [GET, POST], private: true }] }
;; with: http_in=4MiB
;; spec: 13

(func $attack
  (call $http.send (i32.const 2040) (i32.const 3) (i32.const 2048) (i32.const 30) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 1024))
  ;; It crashes if it got an answer.
  (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable))
  (global.set $result (i32.const 1024)))
(data (i32.const 2040) "GET")
(data (i32.const 2048) "http://127.0.0.1:99999/endless")
