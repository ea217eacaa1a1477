;; tries: to give the name of a flow that lies beyond its memory
;; places: handle call
;; holds: fault
;; imports: subflow.call
;; grants: { subflow: [inner] }
;; spec: 17 18

(func $attack
  (call $subflow.call (i32.const -65536) (i32.const 64) (i32.const 364) (i32.const 1) (i32.const 1024)))
