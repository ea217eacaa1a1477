;; tries: to write what it prints that lies beyond its memory
;; places: describe handle
;; holds: fault
;; imports: stdout output.flush
;; spec: 17 18

(func $attack
  (call $output.flush (call $stdout) (i32.const -65536) (i32.const 64) (i32.const 1024)))
