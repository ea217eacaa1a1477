;; tries: to give the name of a tool whose end wraps around to its beginning
;; places: handle
;; holds: fault
;; imports: tools.call
;; grants: { tools: [other/tool] }
;; spec: 17 18

(func $attack
  (call $tools.call (i32.const -16) (i32.const 32) (i32.const 364) (i32.const 1) (i32.const 1024)))
