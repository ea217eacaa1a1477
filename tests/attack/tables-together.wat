;; tries: to have more table elements in several tables
;; places: start
;; holds: limit table_elements
;; spec: 10

(table 6000 funcref)
(table 6000 funcref)
(func $attack)
