;; tries: to give a list of calls that lies beyond its memory
;; places: handle
;; holds: fault
;; imports: tools.all
;; grants: { tools: [attack/good] }
;; spec: 18 19

(func $attack
  (call $tools.all (i32.const -65536) (i32.const 4) (i32.const 1024)))
