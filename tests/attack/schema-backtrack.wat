;; tries: to have a pattern over which others take for ever
;; places: describe
;; holds: completes
;; spec: 17

(func $attack (global.set $specs (i32.const 1024)))
(data (i32.const 1024) "\08\04\00\00\02\00\00\00")
(data (i32.const 1032) "\60\01\00\00\06\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\00\08\00\00\15\00\00\00")
(data (i32.const 1108) "\66\01\00\00\04\00\00\00")
(data (i32.const 2048) "{\22pattern\22:\22^(a+)+$\22}")
