;; tries: to have the environment listed without an end
;; places: handle
;; holds: limit host_calls
;; imports: environment.variables
;; with: host_calls=20000
;; spec: 19

(func $attack (loop $again (call $environment.variables (i32.const 1024)) (br $again)))
