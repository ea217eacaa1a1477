;; tries: to ask at an address that is not UTF-8
;; places: handle call
;; holds: fault
;; imports: http.send
;; grants: { http: [{ scheme: http, host: "*", ports: [80, 99999] }] }
;; spec: 17 18

(func $attack
  (call $http.send (i32.const 352) (i32.const 6) (i32.const 2048) (i32.const 4) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 1024)))
(data (i32.const 2048) "\ff\fe\fd\fc")
