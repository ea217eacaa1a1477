;; tries: to have more nodes than a person can read
;; places: describe
;; holds: refused description
;; spec: 19 21

(func $attack (global.set $specs (i32.const 1024)))
(data (i32.const 1024) "\08\04\00\00\01\01\00\00")
