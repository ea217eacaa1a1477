;; tries: to look up names
;; places: load
;; holds: refused not-granted
;; form: whole
;; spec: 22 27 40

(component (import "wasi:sockets/ip-name-lookup@0.2.0" (instance)))
