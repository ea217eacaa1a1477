;; tries: to look for a prefix of keys of sixty million bytes
;; places: handle
;; holds: limit hostcall
;; imports: state.keys
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 17 18

(func $attack
  (call $reach (i32.const 60065536))
  (call $state.keys (i32.const 0) (i32.const 65536) (i32.const 60000000) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 9) (i32.const 1024)))
