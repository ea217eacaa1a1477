;; tries: to return JSON of fifty thousand levels
;; places: handle call
;; holds: fault
;; spec: 17

(func $attack
  (memory.fill (i32.const 2050) (i32.const 91) (i32.const 50000))
  (global.set $result (i32.const 1024)))
(data (i32.const 1032) "\02\08\00\00\50\c3\00\00\02\08\00\00\50\c3\00\00")
