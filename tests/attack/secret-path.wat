;; tries: to have its secret sent to another path
;; places: handle
;; holds: told denied
;; imports: secrets.placeholder http.send
;; grants: { http: [{ scheme: http, host: 127.0.0.1, ports: [99999], private: true }, { scheme: http, host: 127.0.0.2, ports: [99999], private: true }], secrets: { key: { env: FLOE_ATTACK_SECRET, bind: [{ scheme: http, host: 127.0.0.1, ports: [99999], path: /bound, header: x-key }] } } }
;; spec: 41 45

(func $attack (local $at i32)
  ;; What stands for it, as the value of a header.
  (call $secrets.placeholder (i32.const 2040) (i32.const 3) (i32.const 1024))
  (if (i32.load8_u (i32.const 1024)) (then unreachable))
  (i32.store (i32.const 3008) (i32.load (i32.const 1032)))
  (i32.store (i32.const 3012) (i32.load (i32.const 1036)))
  (call $http.send (i32.const 2044) (i32.const 3) (i32.const 2048) (i32.const 32) (i32.const 3000) (i32.const 1)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 1024))
  ;; It crashes if it was sent.
  (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable))
  (global.set $result (i32.const 1024)))
(data (i32.const 2040) "key\00GET")
(data (i32.const 2048) "http://127.0.0.1:99999/elsewhere")
(data (i32.const 3000) "\1c\0c\00\00\05\00\00\00")
(data (i32.const 3100) "x-key")
