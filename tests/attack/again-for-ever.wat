;; tries: to be called again and again
;; places: handle
;; holds: limit turns
;; spec: 2

(func $attack (global.set $result (i32.const 1024)))
;; One more turn, with the memory 1.
(data (i32.const 1032) "\01\00\00\00\00\00\00\00\00\08\00\00\01\00\00\00")
(data (i32.const 2048) "1")
