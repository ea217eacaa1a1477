;; tries: to have a node whose name clears the screen
;; places: describe
;; holds: refused description
;; spec: 21

(func $attack (global.set $specs (i32.const 1024)))
(data (i32.const 1024) "\08\04\00\00\01\00\00\00")
(data (i32.const 1032) "\00\08\00\00\08\00\00\00")
(data (i32.const 2048) "\1b[2Jnode")
