;; tries: to give arguments that are no JSON, between two that are
;; places: handle call
;; holds: told invalid-input
;; imports: tools.all
;; grants: { tools: [attack/good] }
;; spec: 19 46

(func $attack
  (call $tools.all (i32.const 4096) (i32.const 3) (i32.const 1024))
  ;; It crashes if the others did not go out.
  (if (i32.load8_u (i32.load (i32.const 1024))) (then unreachable))
  (if (i32.load8_u offset=112 (i32.load (i32.const 1024))) (then unreachable))
  (global.set $result (i32.add (i32.load (i32.const 1024)) (i32.const 56))))
(data (i32.const 2048) "attack/good")
(data (i32.const 4096) "\00\08\00\00\0b\00\00\00\6a\01\00\00\02\00\00\00")
(data (i32.const 4112) "\00\08\00\00\0b\00\00\00\6a\01\00\00\01\00\00\00")
(data (i32.const 4128) "\00\08\00\00\0b\00\00\00\6a\01\00\00\02\00\00\00")
