;; tries: to get at the network
;; places: load
;; holds: refused not-granted
;; form: whole
;; spec: 27 40

(component (import "wasi:sockets/instance-network@0.2.0" (instance)))
