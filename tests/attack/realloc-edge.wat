;; tries: to have the host write across the end of its memory
;; places: realloc
;; holds: fault
;; spec: 18

(func $attack (global.set $room (i32.const 131068)))
