;; tries: to describe itself in a megabyte
;; places: describe
;; holds: completes
;; spec: 17 43

(func $attack
  (call $reach (i32.const 2000000))
  (memory.fill (i32.const 65536) (i32.const 120) (i32.const 1048576))
  (global.set $specs (i32.const 1024)))
(data (i32.const 1024) "\08\04\00\00\02\00\00\00")
(data (i32.const 1032) "\60\01\00\00\06\00\00\00\00\00\01\00\00\00\10\00")
(data (i32.const 1108) "\66\01\00\00\04\00\00\00")
