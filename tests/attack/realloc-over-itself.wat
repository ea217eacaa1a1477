;; tries: to have the host write over what it writes
;; places: realloc
;; holds: fault
;; spec: 18

(func $attack (global.set $room (i32.const 65536)))
