;; tries: to send something to be shown of a gigabyte that is not there
;; places: handle call
;; holds: fault
;; imports: emit.progress
;; spec: 17 18

(func $attack
  (call $emit.progress (i32.const 352) (i32.const 4) (i32.const 1024) (i32.const 0x40000000) (i32.const 1024)))
