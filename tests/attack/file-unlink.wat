;; tries: to remove a file where it was given none
;; places: handle
;; holds: fault
;; imports: file.unlink
;; spec: 29 30 18

(func $attack (call $file.unlink (i32.const 3) (i32.const 2048) (i32.const 11) (i32.const 1024)))
(data (i32.const 2048) "/etc/passwd")
