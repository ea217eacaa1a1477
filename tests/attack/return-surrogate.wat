;; tries: to return a lone surrogate
;; places: handle call
;; holds: fault
;; spec: 18 21

(func $attack (global.set $result (i32.const 1024)))
;; What `handle` reads here is an answer, what `call` reads is a result: the texts of both are the same.
(data (i32.const 1032) "\02\08\00\00\05\00\00\00\02\08\00\00\05\00\00\00")
(data (i32.const 2050) "\22\ed\a0\80\22")
