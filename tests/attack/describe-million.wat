;; tries: to have half a million nodes
;; places: describe
;; holds: limit hostcall
;; spec: 17 19

(func $attack
  (call $reach (i32.const 40000000))
  (global.set $specs (i32.const 1024)))
(data (i32.const 1024) "\00\00\01\00\20\a1\07\00")
