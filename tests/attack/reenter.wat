;; tries: to call the host while it hands over arguments
;; places: realloc post-return
;; holds: fault
;; imports: budget.cancelled
;; spec: 8 31

(func $attack (drop (call $budget.cancelled)))
