;; tries: to give the name of a secret that lies beyond its memory
;; places: handle
;; holds: fault
;; imports: secrets.placeholder
;; grants: { http: [{ scheme: http, host: 127.0.0.1, ports: [99999], private: true }, { scheme: http, host: 127.0.0.2, ports: [99999], private: true }], secrets: { key: { env: FLOE_ATTACK_SECRET, bind: [{ scheme: http, host: 127.0.0.1, ports: [99999], path: /bound, header: x-key }] } } }
;; spec: 17 18

(func $attack
  (call $secrets.placeholder (i32.const -65536) (i32.const 64) (i32.const 1024)))
