;; tries: to have an import whose name clears the screen
;; places: load
;; holds: refused damaged
;; form: whole
;; spec: 21 41

(component (import "wasi:io/\1b[2Jpoll@0.2.0" (instance)))
