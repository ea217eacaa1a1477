;; tries: to read more than there are bytes
;; places: handle
;; holds: completes
;; imports: stdin input.read input.skip
;; spec: 18 13

(func $attack
  (call $input.read (call $stdin) (i64.const -1) (i32.const 1024))
  (call $input.skip (call $stdin) (i64.const -1) (i32.const 1024)))
