;; tries: to return so much that copying it would hurt
;; places: handle call
;; holds: limit hostcall
;; with: hostcall=4MiB
;; spec: 17

(func $attack
  (call $reach (i32.const 60065538))
  (global.set $result (i32.const 1024)))
;; Sixty million bytes.
(data (i32.const 1032) "\02\00\01\00\00\87\93\03\02\00\01\00\00\87\93\03")
