;; tries: to wait for input
;; places: handle call
;; holds: completes
;; imports: stdin input.blocking-read
;; with: wall=100ms
;; spec: 1

(func $attack (call $input.blocking-read (call $stdin) (i64.const 1000) (i32.const 1024)))
