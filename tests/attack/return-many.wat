;; tries: to return a million outputs, each of them empty
;; places: handle
;; holds: limit hostcall
;; with: hostcall=4MiB
;; spec: 17 19

(func $attack
  (call $reach (i32.const 60000000))
  (global.set $result (i32.const 1024)))
(data (i32.const 1040) "\00\00\01\00\40\42\0f\00")
