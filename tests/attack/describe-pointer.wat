;; tries: to describe itself from beyond its memory
;; places: describe
;; holds: fault
;; spec: 18

(func $attack (global.set $specs (i32.const -4)))
