;; tries: to return a text that lies beyond its memory
;; places: handle call
;; holds: fault
;; spec: 17 18

(func $attack (global.set $result (i32.const 1024)))
;; What `handle` reads here is an answer, what `call` reads is a result: the texts of both are the same.
(data (i32.const 1032) "\02\00\ff\ff\40\00\00\00\02\00\ff\ff\40\00\00\00")
