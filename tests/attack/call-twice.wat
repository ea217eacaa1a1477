;; tries: to become many by a tool that calls itself
;; places: call
;; holds: told denied
;; imports: tools.call
;; grants: { tools: [attack/attack] }
;; spec: 19 46

(func $attack
  (call $tools.call (i32.const 2048) (i32.const 13) (i32.const 362) (i32.const 2) (i32.const 1024))
  (global.set $result (i32.const 1024)))
(data (i32.const 2048) "attack/attack")
