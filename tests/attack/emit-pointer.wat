;; tries: to send an emission that lies beyond its memory
;; places: handle call
;; holds: fault
;; imports: emit.message
;; spec: 17 18

(func $attack
  (call $emit.message (i32.const -65536) (i32.const 64) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024)))
