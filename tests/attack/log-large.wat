;; tries: to write a log line of sixty million bytes
;; places: describe handle
;; holds: limit hostcall
;; imports: log.write
;; spec: 17 18

(func $attack
  (call $reach (i32.const 60065536))
  (call $log.write (i32.const 2) (i32.const 65536) (i32.const 60000000) (i32.const 0) (i32.const 0)))
