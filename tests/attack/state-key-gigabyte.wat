;; tries: to look up a key of a gigabyte that is not there
;; places: handle
;; holds: fault
;; imports: state.get
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 17 18

(func $attack
  (call $state.get (i32.const 0) (i32.const 1024) (i32.const 0x40000000) (i32.const 1024)))
