;; tries: to have a tool whose name is a path
;; places: tools
;; holds: refused description
;; spec: 21

(func $attack (global.set $tools (i32.const 1024)))
(data (i32.const 1024) "\08\04\00\00\01\00\00\00")
(data (i32.const 1032) "\00\08\00\00\06\00\00\00\00\00\00\00\00\00\00\00\6a\01\00\00\02\00\00\00")
(data (i32.const 2048) "../../")
