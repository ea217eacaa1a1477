;; tries: to ask at an address of a megabyte
;; places: handle
;; holds: limit url, told exhausted, told invalid-input
;; imports: http.send
;; grants: { http: [{ scheme: http, host: "*", ports: [80, 99999] }] }
;; spec: 17 24

(func $attack
  (call $reach (i32.const 2000000))
  (memory.fill (i32.const 65536) (i32.const 97) (i32.const 1048576))
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    (call $http.send (i32.const 2040) (i32.const 3) (i32.const 65536) (i32.const 1048576) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
(data (i32.const 2040) "GET")
