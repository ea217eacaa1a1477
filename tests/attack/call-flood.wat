;; tries: to ask for tools that it may not call, without an end
;; places: handle
;; holds: limit host_calls
;; imports: tools.call
;; grants: { tools: [other/tool] }
;; with: host_calls=20000
;; spec: 19 46

(func $attack (loop $again
  (call $tools.call (i32.const 2048) (i32.const 6) (i32.const 362) (i32.const 2) (i32.const 1024))
  (br $again)))
(data (i32.const 2048) "a/tool")
