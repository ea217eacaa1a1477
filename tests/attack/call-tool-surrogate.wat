;; tries: to give the name of a tool with a lone surrogate
;; places: handle
;; holds: fault
;; imports: tools.call
;; grants: { tools: [other/tool] }
;; spec: 17 18

(func $attack
  (call $tools.call (i32.const 2048) (i32.const 3) (i32.const 364) (i32.const 1) (i32.const 1024)))
(data (i32.const 2048) "\ed\a0\80")
