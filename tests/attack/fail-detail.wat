;; tries: to fail with details that are not JSON
;; places: handle call
;; holds: told conflict
;; spec: 17

(func $attack (global.set $result (i32.const 1024)))
(data (i32.const 1024) "\01")
(data (i32.const 1032) "\02\00\00\00\00\08\00\00\03\00\00\00")
;; The detail is there, at 2048, with the same bytes.
(data (i32.const 1064) "\01\00\00\00\00\08\00\00\03\00\00\00")
(data (i32.const 2048) "{{{")
