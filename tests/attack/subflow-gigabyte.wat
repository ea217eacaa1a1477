;; tries: to give the name of a flow of a gigabyte that is not there
;; places: handle call
;; holds: fault
;; imports: subflow.call
;; grants: { subflow: [inner] }
;; spec: 17 18

(func $attack
  (call $subflow.call (i32.const 1024) (i32.const 0x40000000) (i32.const 364) (i32.const 1) (i32.const 1024)))
