;; tries: to keep a value of sixty million bytes
;; places: handle call
;; holds: limit hostcall
;; imports: state.set
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 17 18

(func $attack
  (call $reach (i32.const 60065536))
  (call $state.set (i32.const 0) (i32.const 352) (i32.const 6) (i32.const 65536) (i32.const 60000000) (i32.const 1024)))
