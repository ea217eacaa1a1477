;; tries: to ask at an address of sixty million bytes
;; places: handle call
;; holds: limit hostcall
;; imports: http.send
;; grants: { http: [{ scheme: http, host: "*", ports: [80, 99999] }] }
;; spec: 17 18

(func $attack
  (call $reach (i32.const 60065536))
  (call $http.send (i32.const 352) (i32.const 6) (i32.const 65536) (i32.const 60000000) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 1024)))
