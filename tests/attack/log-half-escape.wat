;; tries: to log the beginning of a control sequence that the next line ends
;; places: handle
;; holds: completes
;; imports: log.write
;; spec: 41

(func $attack
  (call $log.write (i32.const 4) (i32.const 1024) (i32.const 3) (i32.const 0) (i32.const 0))
  (call $log.write (i32.const 4) (i32.const 1027) (i32.const 7) (i32.const 0) (i32.const 0)))
(data (i32.const 1024) "x\1b]0;owned\07y")
