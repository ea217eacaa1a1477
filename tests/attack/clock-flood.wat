;; tries: to ask for the time without an end
;; places: initialize describe handle call
;; holds: limit host_calls
;; imports: clock.now
;; with: host_calls=20000
;; spec: 1

(func $attack (loop $again (drop (call $clock.now)) (br $again)))
