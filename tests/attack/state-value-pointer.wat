;; tries: to keep a value that lies beyond its memory
;; places: handle call
;; holds: fault
;; imports: state.set
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 17 18

(func $attack
  (call $state.set (i32.const 0) (i32.const 352) (i32.const 6) (i32.const -65536) (i32.const 64) (i32.const 1024)))
