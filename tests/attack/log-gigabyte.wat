;; tries: to write a log line of a gigabyte that is not there
;; places: describe handle
;; holds: fault
;; imports: log.write
;; spec: 17 18

(func $attack
  (call $log.write (i32.const 2) (i32.const 1024) (i32.const 0x40000000) (i32.const 0) (i32.const 0)))
