;; tries: to read where the host runs
;; places: describe handle
;; holds: completes
;; imports: environment.folder
;; spec: 40

(func $attack
  (call $environment.folder (i32.const 1024))
  ;; It crashes if there is any.
  (if (i32.load (i32.const 1024)) (then unreachable)))
