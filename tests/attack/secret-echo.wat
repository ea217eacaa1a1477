;; tries: to be told its secret by a server that repeats what it hears
;; places: handle
;; holds: completes
;; imports: secrets.placeholder http.send
;; grants: { http: [{ scheme: http, host: 127.0.0.1, ports: [99999], private: true }, { scheme: http, host: 127.0.0.2, ports: [99999], private: true }], secrets: { key: { env: FLOE_ATTACK_SECRET, bind: [{ scheme: http, host: 127.0.0.1, ports: [99999], path: /bound, header: x-key }] } } }
;; spec: 41 45

(func $attack (local $at i32)
  ;; What stands for it, as the value of a header.
  (call $secrets.placeholder (i32.const 2040) (i32.const 3) (i32.const 1024))
  (if (i32.load8_u (i32.const 1024)) (then unreachable))
  (i32.store (i32.const 3008) (i32.load (i32.const 1032)))
  (i32.store (i32.const 3012) (i32.load (i32.const 1036)))
  (call $http.send (i32.const 2044) (i32.const 3) (i32.const 2048) (i32.const 28) (i32.const 3000) (i32.const 1)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 1024))
  ;; It crashes if there is no answer, or if the value is anywhere in its memory.
  (if (i32.load8_u (i32.const 1024)) (then unreachable))
  ;; So it does if the server did not get it.
  (if (i32.ne (i32.load16_u (i32.const 1032)) (i32.const 200)) (then unreachable))
  (local.set $at (i32.const 1024))
  (loop $next
    ;; open-ses, as a number.
    (if (i64.eq (i64.load (local.get $at)) (i64.const 0x7365732d6e65706f)) (then unreachable))
    (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (i32.const 131064)))))
(data (i32.const 2040) "key\00GET")
(data (i32.const 2048) "http://127.0.0.1:99999/bound")
(data (i32.const 3000) "\1c\0c\00\00\05\00\00\00")
(data (i32.const 3100) "x-key")
