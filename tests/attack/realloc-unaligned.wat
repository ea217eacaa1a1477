;; tries: to have the host write a record where none can be
;; places: realloc
;; holds: fault
;; spec: 18

(func $attack (global.set $room (i32.const 65537)))
