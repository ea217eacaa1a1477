;; tries: to keep values of whom there is not
;; places: handle
;; holds: fault
;; imports: state.get
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 17

(func $attack (call $state.get (i32.const 9) (i32.const 352) (i32.const 6) (i32.const 1024)))
