;; tries: to give the name of a flow that is not UTF-8
;; places: handle call
;; holds: fault
;; imports: subflow.call
;; grants: { subflow: [inner] }
;; spec: 17 18

(func $attack
  (call $subflow.call (i32.const 2048) (i32.const 4) (i32.const 364) (i32.const 1) (i32.const 1024)))
(data (i32.const 2048) "\ff\fe\fd\fc")
