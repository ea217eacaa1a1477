;; tries: to give arguments for a tool that lies beyond its memory
;; places: handle
;; holds: fault
;; imports: tools.call
;; grants: { tools: [other/tool] }
;; spec: 17 18

(func $attack
  (call $tools.call (i32.const 352) (i32.const 6) (i32.const -65536) (i32.const 64) (i32.const 1024)))
