;; tries: to ask at an address of a gigabyte that is not there
;; places: handle call
;; holds: fault
;; imports: http.send
;; grants: { http: [{ scheme: http, host: "*", ports: [80, 99999] }] }
;; spec: 17 18

(func $attack
  (call $http.send (i32.const 352) (i32.const 6) (i32.const 1024) (i32.const 0x40000000) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 1024)))
