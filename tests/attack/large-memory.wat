;; tries: to begin with more memory than it may have
;; places: start
;; holds: limit memory
;; with: memory=64MiB
;; spec: 11

(memory $large 1100)
(func $attack)
