;; tries: to look for a prefix of keys of a gigabyte that is not there
;; places: handle
;; holds: fault
;; imports: state.keys
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 17 18

(func $attack
  (call $state.keys (i32.const 0) (i32.const 1024) (i32.const 0x40000000) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 9) (i32.const 1024)))
