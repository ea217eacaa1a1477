;; tries: to give the name of a tool that lies beyond its memory
;; places: handle
;; holds: fault
;; imports: tools.call
;; grants: { tools: [other/tool] }
;; spec: 17 18

(func $attack
  (call $tools.call (i32.const -65536) (i32.const 64) (i32.const 364) (i32.const 1) (i32.const 1024)))
