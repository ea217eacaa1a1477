;; tries: to write what it prints of a gigabyte that is not there
;; places: describe handle
;; holds: fault
;; imports: stdout output.flush
;; spec: 17 18

(func $attack
  (call $output.flush (call $stdout) (i32.const 1024) (i32.const 0x40000000) (i32.const 1024)))
