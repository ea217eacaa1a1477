;; tries: to send something to be shown that lies beyond its memory
;; places: handle call
;; holds: fault
;; imports: emit.progress
;; spec: 17 18

(func $attack
  (call $emit.progress (i32.const 352) (i32.const 4) (i32.const -65536) (i32.const 64) (i32.const 1024)))
