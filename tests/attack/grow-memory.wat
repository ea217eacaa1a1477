;; tries: to take memory page by page and to fill each
;; places: start initialize describe handle realloc post-return tools call
;; holds: limit memory
;; with: memory=64MiB
;; spec: 10 11 13

(func $attack
  (loop $more
    (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
    (memory.fill (i32.shl (i32.sub (memory.size) (i32.const 1)) (i32.const 16)) (i32.const 255) (i32.const 65536))
    (br $more)))
