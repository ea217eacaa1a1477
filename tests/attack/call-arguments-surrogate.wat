;; tries: to give arguments for a tool with a lone surrogate
;; places: handle
;; holds: fault
;; imports: tools.call
;; grants: { tools: [other/tool] }
;; spec: 17 18

(func $attack
  (call $tools.call (i32.const 352) (i32.const 6) (i32.const 2048) (i32.const 3) (i32.const 1024)))
(data (i32.const 2048) "\ed\a0\80")
