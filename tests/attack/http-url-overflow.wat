;; tries: to ask at an address whose end wraps around to its beginning
;; places: handle call
;; holds: fault
;; imports: http.send
;; grants: { http: [{ scheme: http, host: "*", ports: [80, 99999] }] }
;; spec: 17 18

(func $attack
  (call $http.send (i32.const 352) (i32.const 6) (i32.const -16) (i32.const 32) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 1024)))
