;; tries: to make requests
;; places: load
;; holds: refused not-granted
;; form: whole
;; spec: 22 26 40

(component (import "wasi:http/types@0.2.0" (instance)))
