;; tries: to read from a folder that it was not given
;; places: handle
;; holds: fault
;; imports: file.read
;; spec: 29 30 18

(func $attack (call $file.read (i32.const 3) (i64.const 0) (i32.const 1024)))
