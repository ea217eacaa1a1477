;; tries: to read the command line
;; places: describe handle
;; holds: completes
;; imports: environment.arguments
;; spec: 40

(func $attack
  (call $environment.arguments (i32.const 1024))
  ;; It crashes if there is any.
  (if (i32.load (i32.const 1028)) (then unreachable)))
