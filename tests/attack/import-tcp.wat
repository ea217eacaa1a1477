;; tries: to open connections
;; places: load
;; holds: refused not-granted
;; form: whole
;; spec: 27 40

(component (import "wasi:sockets/tcp@0.2.0" (instance)))
