;; tries: to log control sequences, a forged line and a text that runs backwards
;; places: initialize describe handle call
;; holds: completes
;; imports: log.write
;; spec: 41

(func $attack
  (call $log.write (i32.const 4) (i32.const 2048) (i32.const 73) (i32.const 1024) (i32.const 1)))
(data (i32.const 1024) "\00\08\00\00\49\00\00\00\00\08\00\00\49\00\00\00")
(data (i32.const 2048) "\1b[2J\1b]0;owned\07down\r\nERROR plugin: floe is \e2\80\aeevil\e2\80\ac\1b[31mred\1b[0m\00\7f\e2\80\8b\c2\9b1m gone")
