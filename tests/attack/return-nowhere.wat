;; tries: to return from beyond its memory
;; places: handle call
;; holds: fault
;; spec: 18

(func $attack (global.set $result (i32.const -8)))
