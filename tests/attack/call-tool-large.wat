;; tries: to give the name of a tool of sixty million bytes
;; places: handle
;; holds: limit hostcall
;; imports: tools.call
;; grants: { tools: [other/tool] }
;; spec: 17 18

(func $attack
  (call $reach (i32.const 60065536))
  (call $tools.call (i32.const 65536) (i32.const 60000000) (i32.const 364) (i32.const 1) (i32.const 1024)))
