;; tries: to ask for flows that it may not run, without an end
;; places: handle
;; holds: limit host_calls
;; imports: subflow.call
;; grants: { subflow: [inner] }
;; with: host_calls=20000
;; spec: 19

(func $attack (loop $again (call $subflow.call (i32.const 2048) (i32.const 5) (i32.const 364) (i32.const 1) (i32.const 1024)) (br $again)))
(data (i32.const 2048) "other")
