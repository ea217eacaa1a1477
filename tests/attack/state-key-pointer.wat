;; tries: to look up a key that lies beyond its memory
;; places: handle
;; holds: fault
;; imports: state.get
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 17 18

(func $attack
  (call $state.get (i32.const 0) (i32.const -65536) (i32.const 64) (i32.const 1024)))
