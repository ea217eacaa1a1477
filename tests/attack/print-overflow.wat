;; tries: to write what it prints whose end wraps around to its beginning
;; places: describe handle
;; holds: fault
;; imports: stdout output.flush
;; spec: 17 18

(func $attack
  (call $output.flush (call $stdout) (i32.const -16) (i32.const 32) (i32.const 1024)))
