;; tries: to ask for its budget without an end
;; places: initialize describe handle tools call
;; holds: limit host_calls
;; imports: budget.cancelled
;; with: host_calls=50000
;; spec: 1 19

(func $attack (loop $again (drop (call $budget.cancelled)) (br $again)))
