;; tries: to call itself for ever without a stack
;; places: start initialize describe handle realloc post-return tools call
;; holds: limit fuel
;; with: fuel=3e7
;; spec: 1 8

(func $attack (return_call $attack))
