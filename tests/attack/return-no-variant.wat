;; tries: to return an outcome that there is not
;; places: handle
;; holds: fault
;; spec: 17

(func $attack (global.set $result (i32.const 1024)))
(data (i32.const 1032) "\63")
