;; tries: to log at a level that there is not
;; places: handle
;; holds: fault
;; imports: log.write
;; spec: 17

(func $attack (call $log.write (i32.const 99) (i32.const 352) (i32.const 6) (i32.const 0) (i32.const 0)))
