;; tries: to compute for ever
;; places: start initialize describe handle realloc post-return tools call
;; holds: limit fuel
;; with: fuel=3e7
;; spec: 1 8

(func $attack (loop $for-ever (br $for-ever)))
