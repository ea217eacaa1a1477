;; tries: to return more than it may
;; places: handle call
;; holds: limit result
;; with: result=1MiB
;; spec: 13 17

(func $attack
  (call $reach (i32.const 4000000))
  (memory.fill (i32.const 65538) (i32.const 49) (i32.const 2000000))
  (global.set $result (i32.const 1024)))
;; Two million digits.
(data (i32.const 1032) "\02\00\01\00\80\84\1e\00\02\00\01\00\80\84\1e\00")
