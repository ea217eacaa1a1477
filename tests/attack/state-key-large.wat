;; tries: to look up a key of sixty million bytes
;; places: handle
;; holds: limit hostcall
;; imports: state.get
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 17 18

(func $attack
  (call $reach (i32.const 60065536))
  (call $state.get (i32.const 0) (i32.const 65536) (i32.const 60000000) (i32.const 1024)))
