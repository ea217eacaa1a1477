;; tries: to write a log line whose end wraps around to its beginning
;; places: describe handle
;; holds: fault
;; imports: log.write
;; spec: 17 18

(func $attack
  (call $log.write (i32.const 2) (i32.const -16) (i32.const 32) (i32.const 0) (i32.const 0)))
