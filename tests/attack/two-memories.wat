;; tries: to have twice the memory by having two memories
;; places: start
;; holds: limit memory
;; with: memory=64MiB
;; spec: 10

(memory $one 600)
(memory $two 600)
(func $attack)
