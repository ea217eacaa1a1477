;; tries: to print more zeroes than there are bytes
;; places: handle
;; holds: fault
;; imports: stdout output.zeroes
;; spec: 18

(func $attack (call $output.zeroes (call $stdout) (i64.const -1) (i32.const 1024)))
