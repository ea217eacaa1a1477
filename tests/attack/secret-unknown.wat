;; tries: to have a secret that is not its own
;; places: handle
;; holds: told denied
;; imports: secrets.placeholder
;; grants: { http: [{ scheme: http, host: 127.0.0.1, ports: [99999], private: true }, { scheme: http, host: 127.0.0.2, ports: [99999], private: true }], secrets: { key: { env: FLOE_ATTACK_SECRET, bind: [{ scheme: http, host: 127.0.0.1, ports: [99999], path: /bound, header: x-key }] } } }
;; spec: 45

(func $attack
  (call $secrets.placeholder (i32.const 352) (i32.const 6) (i32.const 1024))
  (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable))
  (global.set $result (i32.const 1024)))
