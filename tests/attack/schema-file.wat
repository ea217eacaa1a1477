;; tries: to have a schema read from a file
;; places: describe
;; holds: refused schema
;; spec: 17 29

(func $attack (global.set $specs (i32.const 1024)))
(data (i32.const 1024) "\08\04\00\00\02\00\00\00")
(data (i32.const 1032) "\60\01\00\00\06\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\00\08\00\00\1e\00\00\00")
(data (i32.const 1108) "\66\01\00\00\04\00\00\00")
(data (i32.const 2048) "{\22$ref\22: \22file:///etc/passwd\22}")
