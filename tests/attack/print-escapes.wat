;; tries: to print control sequences and a forged line
;; places: describe handle
;; holds: completes
;; imports: stdout stderr output.flush
;; spec: 41

(func $attack
  (call $output.flush (call $stdout) (i32.const 2048) (i32.const 77) (i32.const 1024))
  (call $output.flush (call $stderr) (i32.const 2048) (i32.const 77) (i32.const 1024)))
(data (i32.const 2048) "\1b[2J\1b]0;owned\07down\r\nERROR plugin: floe is \e2\80\aeevil\e2\80\ac\1b[31mred\1b[0m\00\7f\e2\80\8b\c2\9b1m \ff\fegone\0a")
