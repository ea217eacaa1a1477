;; tries: to write a log line that is not UTF-8
;; places: describe handle
;; holds: fault
;; imports: log.write
;; spec: 17 18

(func $attack
  (call $log.write (i32.const 2) (i32.const 2048) (i32.const 4) (i32.const 0) (i32.const 0)))
(data (i32.const 2048) "\ff\fe\fd\fc")
