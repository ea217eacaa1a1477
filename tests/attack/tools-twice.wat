;; tries: to have two tools of one name
;; places: tools
;; holds: refused description
;; spec: 21

(func $attack (global.set $tools (i32.const 1024)))
(data (i32.const 1024) "\08\04\00\00\02\00\00\00")
;; The same tool, with the schema {}.
(data (i32.const 1032) "\00\08\00\00\03\00\00\00\00\00\00\00\00\00\00\00\6a\01\00\00\02\00\00\00")
(data (i32.const 1112) "\00\08\00\00\03\00\00\00\00\00\00\00\00\00\00\00\6a\01\00\00\02\00\00\00")
(data (i32.const 2048) "one")
