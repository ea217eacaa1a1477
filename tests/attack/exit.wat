;; tries: to end the process
;; places: initialize describe handle tools call
;; holds: fault
;; imports: exit
;; spec: 32

(func $attack (call $exit (i32.const 0)))
