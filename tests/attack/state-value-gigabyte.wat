;; tries: to keep a value of a gigabyte that is not there
;; places: handle call
;; holds: fault
;; imports: state.set
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 17 18

(func $attack
  (call $state.set (i32.const 0) (i32.const 352) (i32.const 6) (i32.const 1024) (i32.const 0x40000000) (i32.const 1024)))
