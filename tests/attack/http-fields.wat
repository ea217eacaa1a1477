;; tries: to get a header of a megabyte
;; places: handle
;; holds: limit fields, told unavailable, told exhausted
;; imports: http.send
;; grants: { http: [{ scheme: http, host: 127.0.0.1, ports: [99999], methods: [GET, POST], private: true }] }
;; with: fields=32KiB
;; spec: 13 19

(func $attack
  (call $http.send (i32.const 2040) (i32.const 3) (i32.const 2048) (i32.const 29) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 1024))
  ;; It crashes if it got an answer.
  (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable))
  (global.set $result (i32.const 1024)))
(data (i32.const 2040) "GET")
(data (i32.const 2048) "http://127.0.0.1:99999/fields")
