;; tries: to fail in a way that there is not
;; places: handle call
;; holds: fault
;; spec: 17

(func $attack (global.set $result (i32.const 1024)))
(data (i32.const 1024) "\01")
(data (i32.const 1032) "\c8")
