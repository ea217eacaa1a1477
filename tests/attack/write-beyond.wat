;; tries: to write beyond its memory
;; places: start handle realloc post-return
;; holds: fault
;; spec: 31

(func $attack (i64.store (i32.const -8) (i64.const -1)))
