;; tries: to draw without an end
;; places: handle
;; holds: limit host_calls
;; imports: random.u64
;; with: host_calls=20000
;; spec: 1 19

(func $attack (loop $again (drop (call $random.u64)) (br $again)))
