;; tries: to log a list of fields that lies beyond its memory
;; places: handle
;; holds: fault
;; imports: log.write
;; spec: 18 19

(func $attack
  (call $log.write (i32.const 2) (i32.const 352) (i32.const 6) (i32.const -65536) (i32.const 4)))
