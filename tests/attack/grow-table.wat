;; tries: to take table elements without an end
;; places: start initialize describe handle tools call
;; holds: limit table_elements
;; with: table_elements=10000
;; spec: 10

(table $table 1 funcref)
(func $attack
  (loop $more
    (if (i32.eq (table.grow $table (ref.null func) (i32.const 100)) (i32.const -1)) (then unreachable))
    (br $more)))
