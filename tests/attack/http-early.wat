;; tries: to ask where there is nobody who asks
;; places: describe tools
;; holds: completes
;; imports: http.send
;; grants: { http: [{ scheme: http, host: 127.0.0.1, ports: [99999], methods: [GET, POST], private: true }] }
;; spec: 45 46

(func $attack
  (call $http.send (i32.const 2040) (i32.const 3) (i32.const 2048) (i32.const 23) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 1024))
  ;; It crashes if it was let.
  (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable)))
(data (i32.const 2040) "GET")
(data (i32.const 2048) "http://127.0.0.1:99999/")
