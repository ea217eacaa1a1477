;; tries: to have the host write the place of its answer beyond the memory
;; places: handle
;; holds: fault
;; imports: budget.remaining
;; spec: 18

(func $attack (call $budget.remaining (i32.const -4)))
