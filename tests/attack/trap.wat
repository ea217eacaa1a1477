;; tries: to crash, and to have the trace of it shown
;; places: start initialize describe handle realloc post-return tools call
;; holds: fault
;; spec: 31 42

(func $attack unreachable)
