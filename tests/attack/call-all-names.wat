;; tries: to call a tool whose name clears the screen and runs backwards
;; places: handle call
;; holds: told denied
;; imports: tools.all
;; grants: { tools: [attack/good] }
;; spec: 21 41 46

(func $attack
  (call $tools.all (i32.const 4096) (i32.const 1) (i32.const 1024))
  (global.set $result (i32.load (i32.const 1024))))
(data (i32.const 2048) "a\1b[2J\1b]0;t\07\00\0d\0a\e2\80\ae/\c2\9b2J")
(data (i32.const 4096) "\00\08\00\00\16\00\00\00\6a\01\00\00\02\00\00\00")
