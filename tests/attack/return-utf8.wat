;; tries: to return a text that is not UTF-8
;; places: handle call
;; holds: fault
;; spec: 18 21

(func $attack (global.set $result (i32.const 1024)))
;; What `handle` reads here is an answer, what `call` reads is a result: the texts of both are the same.
(data (i32.const 1032) "\02\08\00\00\04\00\00\00\02\08\00\00\04\00\00\00")
(data (i32.const 2050) "\ff\fe\fd\fc")
