;; tries: to have a megabyte of cheap randomness made
;; places: handle
;; holds: limit random
;; imports: insecure.bytes
;; with: random=64KiB
;; spec: 13

(func $attack (call $insecure.bytes (i64.const 1048576) (i32.const 1024)))
