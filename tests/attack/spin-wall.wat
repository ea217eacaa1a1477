;; tries: to compute past its time, with all the fuel there is
;; places: handle
;; holds: limit wall
;; with: wall=30ms
;; spec: 1 2

(func $attack
  (call $reach (i32.const 50000000))
  (loop $again
    (memory.fill (i32.const 65536) (i32.const 7) (i32.const 49000000))
    (br $again)))
