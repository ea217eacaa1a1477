;; tries: to give arguments for a tool whose end wraps around to its beginning
;; places: handle
;; holds: fault
;; imports: tools.call
;; grants: { tools: [other/tool] }
;; spec: 17 18

(func $attack
  (call $tools.call (i32.const 352) (i32.const 6) (i32.const -16) (i32.const 32) (i32.const 1024)))
