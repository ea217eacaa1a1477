;; tries: to keep a value whose end wraps around to its beginning
;; places: handle call
;; holds: fault
;; imports: state.set
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 17 18

(func $attack
  (call $state.set (i32.const 0) (i32.const 352) (i32.const 6) (i32.const -16) (i32.const 32) (i32.const 1024)))
