;; tries: to ask for a retry in five hundred million years
;; places: handle
;; holds: told busy
;; spec: 1

(func $attack (global.set $result (i32.const 1024)))
(data (i32.const 1024) "\01")
(data (i32.const 1032) "\06\00\00\00\00\08\00\00\04\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00\ff\ff\ff\ff\ff\ff\ff\ff")
(data (i32.const 2048) "busy")
