;; tries: to write a log line that lies beyond its memory
;; places: describe handle
;; holds: fault
;; imports: log.write
;; spec: 17 18

(func $attack
  (call $log.write (i32.const 2) (i32.const -65536) (i32.const 64) (i32.const 0) (i32.const 0)))
