;; tries: to be led away by itself
;; places: handle
;; holds: completes
;; imports: http.send
;; grants: { http: [{ scheme: http, host: 127.0.0.1, ports: [99999], methods: [GET, POST], private: true }] }
;; spec: 23

(func $attack
  (call $http.send (i32.const 2040) (i32.const 3) (i32.const 2048) (i32.const 27) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 1024))
  ;; It crashes unless the redirect itself is the answer.
  (if (i32.load8_u (i32.const 1024)) (then unreachable))
  (if (i32.ne (i32.load16_u (i32.const 1032)) (i32.const 302)) (then unreachable)))
(data (i32.const 2040) "GET")
(data (i32.const 2048) "http://127.0.0.1:99999/away")
