;; tries: to copy large memory in single steps
;; places: handle
;; holds: limit fuel
;; spec: 7

(func $attack
  (call $reach (i32.const 50000000))
  (loop $again
    (memory.copy (i32.const 65536) (i32.const 65537) (i32.const 49000000))
    (br $again)))
