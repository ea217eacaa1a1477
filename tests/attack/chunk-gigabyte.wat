;; tries: to send a piece of a stream of a gigabyte that is not there
;; places: handle call
;; holds: fault
;; imports: emit.chunk
;; spec: 17 18

(func $attack
  (call $emit.chunk (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024) (i32.const 0x40000000) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 1024)))
