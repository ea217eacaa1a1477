;; tries: to give arguments for a tool of a gigabyte that is not there
;; places: handle
;; holds: fault
;; imports: tools.call
;; grants: { tools: [other/tool] }
;; spec: 17 18

(func $attack
  (call $tools.call (i32.const 352) (i32.const 6) (i32.const 1024) (i32.const 0x40000000) (i32.const 1024)))
