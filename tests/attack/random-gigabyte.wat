;; tries: to have a gigabyte of randomness made
;; places: initialize describe handle call
;; holds: limit random
;; imports: random.bytes
;; spec: 13 17

(func $attack (call $random.bytes (i64.const 0x40000000) (i32.const 1024)))
