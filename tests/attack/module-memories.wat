;; tries: to have more memories in a module than the pool has
;; places: start
;; holds: refused does-not-compile
;; spec: 10

;; repeat 8: (memory 1)
(func $attack)
