;; tries: to give arguments for a tool of sixty million bytes
;; places: handle
;; holds: limit hostcall
;; imports: tools.call
;; grants: { tools: [other/tool] }
;; spec: 17 18

(func $attack
  (call $reach (i32.const 60065536))
  (call $tools.call (i32.const 352) (i32.const 6) (i32.const 65536) (i32.const 60000000) (i32.const 1024)))
