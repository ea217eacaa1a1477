;; tries: to speak HTTP
;; places: load
;; holds: refused not-granted
;; form: whole
;; spec: 22 23 24 25 26 27 28 40

(component (import "wasi:http/outgoing-handler@0.2.0" (instance)))
