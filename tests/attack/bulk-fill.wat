;; tries: to fill large memory in single steps, between which nothing looks at it
;; places: handle call
;; holds: limit fuel
;; spec: 7

(func $attack
  (call $reach (i32.const 50000000))
  (loop $again
    (memory.fill (i32.const 65536) (i32.const 7) (i32.const 49000000))
    (br $again)))
