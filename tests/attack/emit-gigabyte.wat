;; tries: to send an emission of a gigabyte that is not there
;; places: handle call
;; holds: fault
;; imports: emit.message
;; spec: 17 18

(func $attack
  (call $emit.message (i32.const 1024) (i32.const 0x40000000) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024)))
