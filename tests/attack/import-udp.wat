;; tries: to send datagrams
;; places: load
;; holds: refused not-granted
;; form: whole
;; spec: 27 40

(component (import "wasi:sockets/udp@0.2.0" (instance)))
