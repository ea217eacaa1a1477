;; tries: to have more tables in a module than the pool has
;; places: start
;; holds: refused does-not-compile
;; spec: 10

;; repeat 9: (table 1 funcref)
(func $attack)
