;; tries: to begin with more table elements than it may have
;; places: start
;; holds: limit table_elements
;; with: table_elements=10000
;; spec: 10

(table 20000 funcref)
(func $attack)
