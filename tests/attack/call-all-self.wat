;; tries: to become twice as many with each call, by a tool that calls itself twice
;; places: call
;; holds: told denied
;; imports: tools.all
;; grants: { tools: [attack/attack] }
;; spec: 19 46

(func $attack
  (call $tools.all (i32.const 4096) (i32.const 2) (i32.const 1024))
  ;; The second answer is what it fails with, here and in what it has called.
  (global.set $result (i32.add (i32.load (i32.const 1024)) (i32.const 56))))
(data (i32.const 2048) "attack/attack")
(data (i32.const 4096) "\00\08\00\00\0d\00\00\00\6a\01\00\00\02\00\00\00")
(data (i32.const 4112) "\00\08\00\00\0d\00\00\00\6a\01\00\00\02\00\00\00")
