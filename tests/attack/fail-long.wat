;; tries: to fail with a message of a megabyte
;; places: handle call
;; holds: told internal
;; spec: 41

(func $attack
  (call $reach (i32.const 2000000))
  (memory.fill (i32.const 65536) (i32.const 120) (i32.const 1048576))
  (global.set $result (i32.const 1024)))
(data (i32.const 1024) "\01")
(data (i32.const 1032) "\09\00\00\00\00\00\01\00\00\00\10\00")
