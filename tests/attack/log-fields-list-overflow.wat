;; tries: to log a list of fields whose bytes wrap around
;; places: handle
;; holds: fault
;; imports: log.write
;; spec: 18 19

(func $attack
  (call $log.write (i32.const 2) (i32.const 352) (i32.const 6) (i32.const 2048) (i32.const 0x20000001)))
