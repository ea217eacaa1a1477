;; tries: to give a list of calls whose bytes wrap around
;; places: handle
;; holds: fault
;; imports: tools.all
;; grants: { tools: [attack/good] }
;; spec: 18 19

(func $attack
  (call $tools.all (i32.const 2048) (i32.const 0x10000001) (i32.const 1024)))
