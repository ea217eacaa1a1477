;; tries: to print more zeroes than there are bytes, and to wait for it
;; places: handle
;; holds: fault
;; imports: stdout output.blocking-zeroes
;; with: wall=100ms
;; spec: 18 1

(func $attack (call $output.blocking-zeroes (call $stdout) (i64.const 0x7fffffffffffffff) (i32.const 1024)))
