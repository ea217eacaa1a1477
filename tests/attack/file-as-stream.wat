;; tries: to use its output as a folder
;; places: handle
;; holds: fault
;; imports: stdout file.write
;; spec: 18 29

(func $attack (call $file.write (call $stdout) (i64.const 0) (i32.const 1024)))
