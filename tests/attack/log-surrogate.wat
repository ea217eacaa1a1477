;; tries: to write a log line with a lone surrogate
;; places: describe handle
;; holds: fault
;; imports: log.write
;; spec: 17 18

(func $attack
  (call $log.write (i32.const 2) (i32.const 2048) (i32.const 3) (i32.const 0) (i32.const 0)))
(data (i32.const 2048) "\ed\a0\80")
