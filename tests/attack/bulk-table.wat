;; tries: to fill a table in single steps
;; places: handle
;; holds: limit fuel
;; with: fuel=3e7
;; spec: 7

(table $table 9000 funcref)
(func $attack
  (loop $again
    (table.fill $table (i32.const 0) (ref.null func) (i32.const 9000))
    (br $again)))
