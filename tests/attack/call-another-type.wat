;; tries: to call a function as one of another type
;; places: start handle
;; holds: fault
;; spec: 31

(type $other (func (param i64) (result i64)))
(table $table funcref (elem $attack))
(func $attack (drop (call_indirect $table (type $other) (i64.const 0) (i32.const 0))))
