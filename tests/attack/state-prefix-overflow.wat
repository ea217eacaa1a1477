;; tries: to look for a prefix of keys whose end wraps around to its beginning
;; places: handle
;; holds: fault
;; imports: state.keys
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 17 18

(func $attack
  (call $state.keys (i32.const 0) (i32.const -16) (i32.const 32) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 9) (i32.const 1024)))
