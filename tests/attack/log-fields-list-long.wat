;; tries: to log a list of fields of millions of empty texts
;; places: handle
;; holds: limit hostcall
;; imports: log.write
;; spec: 17 19

(func $attack
  (call $reach (i32.const 60065536))
  (call $log.write (i32.const 2) (i32.const 352) (i32.const 6) (i32.const 65536) (i32.const 3700000)))
