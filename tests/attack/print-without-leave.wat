;; tries: to print more at once than it was let
;; places: handle
;; holds: completes
;; imports: stdout output.write
;; spec: 13

(func $attack
  (call $reach (i32.const 4000000))
  (call $output.write (call $stdout) (i32.const 65536) (i32.const 3000000) (i32.const 1024)))
