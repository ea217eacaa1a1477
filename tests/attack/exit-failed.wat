;; tries: to end the process as failed
;; places: handle realloc post-return
;; holds: fault
;; imports: exit
;; spec: 32

(func $attack (call $exit (i32.const 1)))
