;; tries: to look up a key whose end wraps around to its beginning
;; places: handle
;; holds: fault
;; imports: state.get
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 17 18

(func $attack
  (call $state.get (i32.const 0) (i32.const -16) (i32.const 32) (i32.const 1024)))
