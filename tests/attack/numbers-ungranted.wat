;; tries: to have randomness without a grant
;; places: handle
;; holds: refused not-granted
;; imports: number.next
;; spec: 40 45

(func $attack (drop (call $number.next)))
