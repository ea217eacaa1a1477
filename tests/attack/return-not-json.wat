;; tries: to return what is not JSON
;; places: handle call
;; holds: fault
;; spec: 17

(func $attack (global.set $result (i32.const 1024)))
;; What `handle` reads here is an answer, what `call` reads is a result: the texts of both are the same.
(data (i32.const 1032) "\02\08\00\00\07\00\00\00\02\08\00\00\07\00\00\00")
(data (i32.const 2050) "{\22a\22:1,")
