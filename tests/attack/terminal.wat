;; tries: to get at the terminal
;; places: handle
;; holds: completes
;; imports: terminal
;; spec: 41

(func $attack
  (call $terminal (i32.const 1024))
  ;; It crashes if there is any.
  (if (i32.load (i32.const 1024)) (then unreachable)))
