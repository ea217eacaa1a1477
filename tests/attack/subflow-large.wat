;; tries: to give the name of a flow of sixty million bytes
;; places: handle call
;; holds: limit hostcall
;; imports: subflow.call
;; grants: { subflow: [inner] }
;; spec: 17 18

(func $attack
  (call $reach (i32.const 60065536))
  (call $subflow.call (i32.const 65536) (i32.const 60000000) (i32.const 364) (i32.const 1) (i32.const 1024)))
