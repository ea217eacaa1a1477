;; tries: to take all memory at once
;; places: start handle call
;; holds: limit memory
;; with: memory=64MiB
;; spec: 10 11

(func $attack (if (i32.eq (memory.grow (i32.const 65000)) (i32.const -1)) (then unreachable)))
