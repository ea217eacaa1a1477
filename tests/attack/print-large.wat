;; tries: to write what it prints of sixty million bytes
;; places: describe handle
;; holds: limit hostcall
;; imports: stdout output.flush
;; spec: 17 18

(func $attack
  (call $reach (i32.const 60065536))
  (call $output.flush (call $stdout) (i32.const 65536) (i32.const 60000000) (i32.const 1024)))
