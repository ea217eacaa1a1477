;; tries: to have memory refunded that it never paid for
;; places: handle
;; holds: limit memory
;; with: memory=64MiB
;; spec: 12

(func $attack (local $times i32)
  (loop $again
    (drop (memory.grow (i32.const 65535)))
    (br_if $again (i32.lt_u (local.tee $times (i32.add (local.get $times) (i32.const 1))) (i32.const 10000))))
  (loop $more
    (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
    (i32.store (i32.shl (i32.sub (memory.size) (i32.const 1)) (i32.const 16)) (i32.const -1))
    (br $more)))
