;; tries: to read beyond its memory
;; places: start handle realloc post-return
;; holds: fault
;; spec: 31

(func $attack (drop (i32.load (i32.const -4))))
