;; tries: to grow two memories in turn
;; places: handle
;; holds: limit memory
;; with: memory=64MiB
;; spec: 10

(memory $second 1)
(func $attack
  (loop $more
    (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
    (if (i32.eq (memory.grow $second (i32.const 1)) (i32.const -1)) (then unreachable))
    (i32.store (i32.shl (i32.sub (memory.size) (i32.const 1)) (i32.const 16)) (i32.const -1))
    (i32.store $second (i32.shl (i32.sub (memory.size $second) (i32.const 1)) (i32.const 16)) (i32.const -1))
    (br $more)))
