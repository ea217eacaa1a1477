;; tries: to nest its calls without an end
;; places: start initialize describe handle realloc post-return tools call
;; holds: limit stack
;; spec: 8

(func $attack (call $attack))
