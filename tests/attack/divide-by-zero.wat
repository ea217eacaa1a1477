;; tries: to divide by zero
;; places: start handle realloc post-return
;; holds: fault
;; spec: 31

(func $attack (drop (i32.div_u (i32.const 1) (i32.const 0))))
