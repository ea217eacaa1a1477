;; tries: to give the name of a tool that is not UTF-8
;; places: handle
;; holds: fault
;; imports: tools.call
;; grants: { tools: [other/tool] }
;; spec: 17 18

(func $attack
  (call $tools.call (i32.const 2048) (i32.const 4) (i32.const 364) (i32.const 1) (i32.const 1024)))
(data (i32.const 2048) "\ff\fe\fd\fc")
