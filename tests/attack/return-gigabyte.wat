;; tries: to return a text of a gigabyte that is not there
;; places: handle call
;; holds: fault
;; spec: 17 18

(func $attack (global.set $result (i32.const 1024)))
;; What `handle` reads here is an answer, what `call` reads is a result: the texts of both are the same.
(data (i32.const 1032) "\02\08\00\00\00\00\00\40\02\08\00\00\00\00\00\40")
