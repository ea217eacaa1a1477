;; tries: to keep a value with a lone surrogate
;; places: handle call
;; holds: fault
;; imports: state.set
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 17 18

(func $attack
  (call $state.set (i32.const 0) (i32.const 352) (i32.const 6) (i32.const 2048) (i32.const 3) (i32.const 1024)))
(data (i32.const 2048) "\ed\a0\80")
