;; tries: to make a folder where it was given none
;; places: handle
;; holds: fault
;; imports: file.make-folder
;; spec: 29 30 18

(func $attack (call $file.make-folder (i32.const 3) (i32.const 352) (i32.const 6) (i32.const 1024)))
