;; tries: to have a clock without a grant
;; places: handle
;; holds: refused not-granted
;; imports: time.now
;; spec: 40 44

(func $attack (drop (call $time.now)))
