;; tries: to reach everybody who listens
;; places: handle
;; holds: told denied
;; imports: http.send
;; grants: { http: [{ scheme: http, host: "*", ports: [80, 99999] }] }
;; spec: 22

(func $attack
  (call $http.send (i32.const 2040) (i32.const 3) (i32.const 2048) (i32.const 17) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 1024))
  ;; It crashes if it got an answer.
  (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable))
  (global.set $result (i32.const 1024)))
(data (i32.const 2040) "GET")
(data (i32.const 2048) "http://224.0.0.1/")
