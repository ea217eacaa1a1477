;; tries: to have more randomness made than there are bytes
;; places: handle
;; holds: limit random
;; imports: random.bytes
;; spec: 18

(func $attack (call $random.bytes (i64.const -1) (i32.const 1024)))
