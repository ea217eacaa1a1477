;; tries: to send more headers than there may be
;; places: handle
;; holds: limit fields, told exhausted, told invalid-input
;; imports: http.send
;; grants: { http: [{ scheme: http, host: 127.0.0.1, ports: [99999], methods: [GET, POST], private: true }] }
;; with: fields=32KiB
;; spec: 19 26

(func $attack
  (call $http.send (i32.const 2040) (i32.const 3) (i32.const 2048) (i32.const 23) (i32.const 4096) (i32.const 2000)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 1024))
  ;; It crashes if it got an answer.
  (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable))
  (global.set $result (i32.const 1024)))
(data (i32.const 2040) "GET")
(data (i32.const 2048) "http://127.0.0.1:99999/")
(data (i32.const 3100) "x-a")
;; repeat 2000: (data (i32.add (i32.const 4096) (i32.mul (i32.const 16) (i32.const #))) "\1c\0c\00\00\03\00\00\00\1c\0c\00\00\03\00\00\00")
