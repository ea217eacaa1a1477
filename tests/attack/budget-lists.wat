;; tries: to have lists made for it without an end
;; places: handle
;; holds: limit host_calls
;; imports: budget.remaining
;; with: host_calls=50000
;; spec: 13 19

(func $attack (loop $again (call $budget.remaining (i32.const 1024)) (br $again)))
