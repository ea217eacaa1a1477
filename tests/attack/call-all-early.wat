;; tries: to call tools at once where there is no trace
;; places: describe tools
;; holds: completes
;; imports: tools.all
;; grants: { tools: [attack/good] }
;; spec: 46

(func $attack
  (call $tools.all (i32.const 4096) (i32.const 2) (i32.const 1024))
  ;; It crashes if it was let.
  (if (i32.eqz (i32.load8_u (i32.load (i32.const 1024)))) (then unreachable))
  (if (i32.eqz (i32.load8_u offset=56 (i32.load (i32.const 1024)))) (then unreachable)))
(data (i32.const 2048) "attack/good")
(data (i32.const 4096) "\00\08\00\00\0b\00\00\00\6a\01\00\00\02\00\00\00")
(data (i32.const 4112) "\00\08\00\00\0b\00\00\00\6a\01\00\00\02\00\00\00")
