;; tries: to return from an address that no record can have
;; places: handle call
;; holds: fault
;; spec: 18

(func $attack (global.set $result (i32.const 1025)))
