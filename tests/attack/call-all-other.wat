;; tries: to slip a tool that it may not call in beside one that it may
;; places: handle call
;; holds: told denied
;; imports: tools.all
;; grants: { tools: [attack/good] }
;; spec: 45 46

(func $attack
  (call $tools.all (i32.const 4096) (i32.const 2) (i32.const 1024))
  (global.set $result (i32.add (i32.load (i32.const 1024)) (i32.const 56))))
(data (i32.const 2048) "attack/good")
(data (i32.const 2064) "attack/attack")
(data (i32.const 4096) "\00\08\00\00\0b\00\00\00\6a\01\00\00\02\00\00\00")
(data (i32.const 4112) "\10\08\00\00\0d\00\00\00\6a\01\00\00\02\00\00\00")
