;; tries: to give a list of calls at an odd address
;; places: handle
;; holds: fault
;; imports: tools.all
;; grants: { tools: [attack/good] }
;; spec: 18 19

(func $attack
  (call $tools.all (i32.const 2049) (i32.const 1) (i32.const 1024)))
