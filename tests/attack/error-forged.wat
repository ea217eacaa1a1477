;; tries: to read an error that it was not given
;; places: handle
;; holds: fault
;; imports: error.text
;; spec: 18

(func $attack (call $error.text (i32.const 1) (i32.const 1024)))
