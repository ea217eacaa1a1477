;; tries: to send something to be shown of sixty million bytes
;; places: handle call
;; holds: limit hostcall
;; imports: emit.progress
;; spec: 17 18

(func $attack
  (call $reach (i32.const 60065536))
  (call $emit.progress (i32.const 352) (i32.const 4) (i32.const 65536) (i32.const 60000000) (i32.const 1024)))
