;; tries: to have the host write its answer beyond the memory
;; places: handle
;; holds: fault
;; imports: budget.remaining
;; spec: 18

(func $attack
  (global.set $room (i32.const -64))
  (call $budget.remaining (i32.const 1024)))
