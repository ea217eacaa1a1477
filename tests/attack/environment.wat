;; tries: to read the environment
;; places: describe handle
;; holds: completes
;; imports: environment.variables
;; spec: 40

(func $attack
  (call $environment.variables (i32.const 1024))
  ;; It crashes if there is any.
  (if (i32.load (i32.const 1028)) (then unreachable)))
