;; tries: to look up a key that is not UTF-8
;; places: handle
;; holds: fault
;; imports: state.get
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 17 18

(func $attack
  (call $state.get (i32.const 0) (i32.const 2048) (i32.const 4) (i32.const 1024)))
(data (i32.const 2048) "\ff\fe\fd\fc")
