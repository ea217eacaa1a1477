;; tries: to call a function that is not there
;; places: start handle
;; holds: fault
;; spec: 31

(type $nothing (func))
(table $table 1 funcref)
(func $attack (call_indirect $table (type $nothing) (i32.const 0)))
