;; tries: to ask for its budget when the call is over
;; places: post-return
;; holds: fault
;; imports: budget.cancelled
;; spec: 31

(func $attack (drop (call $budget.cancelled)))
