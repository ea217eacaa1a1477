;; tries: to return so many outputs that their bytes wrap around
;; places: handle
;; holds: fault
;; spec: 18 19

(func $attack (global.set $result (i32.const 1024)))
(data (i32.const 1040) "\00\00\01\00\75\d1\45\17")
