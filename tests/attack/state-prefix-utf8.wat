;; tries: to look for a prefix of keys that is not UTF-8
;; places: handle
;; holds: fault
;; imports: state.keys
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 17 18

(func $attack
  (call $state.keys (i32.const 0) (i32.const 2048) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 9) (i32.const 1024)))
(data (i32.const 2048) "\ff\fe\fd\fc")
