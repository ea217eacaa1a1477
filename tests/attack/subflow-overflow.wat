;; tries: to give the name of a flow whose end wraps around to its beginning
;; places: handle call
;; holds: fault
;; imports: subflow.call
;; grants: { subflow: [inner] }
;; spec: 17 18

(func $attack
  (call $subflow.call (i32.const -16) (i32.const 32) (i32.const 364) (i32.const 1) (i32.const 1024)))
