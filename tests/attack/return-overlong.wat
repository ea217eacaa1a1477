;; tries: to return a slash that is written as two bytes
;; places: handle call
;; holds: fault
;; spec: 18 21

(func $attack (global.set $result (i32.const 1024)))
;; What `handle` reads here is an answer, what `call` reads is a result: the texts of both are the same.
(data (i32.const 1032) "\02\08\00\00\04\00\00\00\02\08\00\00\04\00\00\00")
(data (i32.const 2050) "\22\c0\af\22")
