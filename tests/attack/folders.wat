;; tries: to find folders of the host
;; places: describe handle
;; holds: completes
;; imports: folders
;; spec: 29 30

(func $attack
  (call $folders (i32.const 1024))
  ;; It crashes if there is any.
  (if (i32.load (i32.const 1028)) (then unreachable)))
