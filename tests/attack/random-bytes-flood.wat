;; tries: to have randomness made without an end
;; places: handle
;; holds: limit memory
;; imports: random.bytes
;; with: memory=16MiB host_calls=20000
;; spec: 13 19

(func $attack (loop $again (call $random.bytes (i64.const 65536) (i32.const 1024)) (br $again)))
