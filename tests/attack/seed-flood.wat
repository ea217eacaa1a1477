;; tries: to have seeds without an end
;; places: handle
;; holds: limit host_calls
;; imports: insecure.seed
;; with: host_calls=20000
;; spec: 1 19

(func $attack (loop $again (call $insecure.seed (i32.const 1024)) (br $again)))
