;; tries: to draw granted randomness without an end
;; places: handle
;; holds: limit host_calls
;; imports: number.next
;; grants: { random: true }
;; with: host_calls=20000
;; spec: 1 19

(func $attack (loop $again (drop (call $number.next)) (br $again)))
