;; tries: to fail with control sequences, a forged line and a text that runs backwards
;; places: handle call
;; holds: told unavailable
;; spec: 41 43

(func $attack (global.set $result (i32.const 1024)))
(data (i32.const 1024) "\01")
(data (i32.const 1032) "\07\00\00\00\00\08\00\00\49\00\00\00")
(data (i32.const 2048) "\1b[2J\1b]0;owned\07down\r\nERROR plugin: floe is \e2\80\aeevil\e2\80\ac\1b[31mred\1b[0m\00\7f\e2\80\8b\c2\9b1m gone")
