;; tries: to have more table elements in several tables
;; places: start
;; holds: limit table_elements
;; with: table_elements=10000
;; spec: 10

(table 6000 funcref)
(table 6000 funcref)
(func $attack)
