;; tries: to return an object that has a key twice
;; places: handle call
;; holds: completes
;; spec: 17

(func $attack (global.set $result (i32.const 1024)))
;; What `handle` reads here is an answer, what `call` reads is a result: the texts of both are the same.
(data (i32.const 1032) "\02\08\00\00\0d\00\00\00\02\08\00\00\0d\00\00\00")
(data (i32.const 2050) "{\22a\22:1,\22a\22:2}")
