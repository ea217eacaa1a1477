;; tries: to give arguments that are nested a hundred thousand deep
;; places: handle call
;; holds: told invalid-input
;; imports: tools.all
;; grants: { tools: [attack/good] }
;; spec: 17 19

(func $attack
  (call $reach (i32.const 265536))
  (memory.fill (i32.const 65536) (i32.const 91) (i32.const 100000))
  (memory.fill (i32.const 165536) (i32.const 93) (i32.const 100000))
  ;; What answers needs is behind.
  (global.set $free (i32.const 265536))
  (call $tools.all (i32.const 4096) (i32.const 1) (i32.const 1024))
  (global.set $result (i32.load (i32.const 1024))))
(data (i32.const 2048) "attack/good")
(data (i32.const 4096) "\00\08\00\00\0b\00\00\00\00\00\01\00\40\0d\03\00")
