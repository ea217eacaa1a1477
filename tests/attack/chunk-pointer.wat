;; tries: to send a piece of a stream that lies beyond its memory
;; places: handle call
;; holds: fault
;; imports: emit.chunk
;; spec: 17 18

(func $attack
  (call $emit.chunk (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -65536) (i32.const 64) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 1024)))
