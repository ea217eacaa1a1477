;; tries: to cut a file that it was not given
;; places: handle
;; holds: fault
;; imports: file.resize
;; spec: 29 30 18

(func $attack (call $file.resize (i32.const 3) (i64.const 0) (i32.const 1024)))
