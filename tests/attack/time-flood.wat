;; tries: to ask a granted clock without an end
;; places: handle
;; holds: limit host_calls
;; imports: time.now
;; grants: { clock: { resolution: 1s } }
;; with: host_calls=20000
;; spec: 1 19

(func $attack (loop $again (drop (call $time.now)) (br $again)))
