;; tries: to begin with more memory than it may have
;; places: start
;; holds: limit memory
;; spec: 11

(memory $large 1100)
(func $attack)
