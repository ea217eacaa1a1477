;; tries: to have secrets
;; places: load
;; holds: refused not-granted
;; form: whole
;; spec: 40 45

(component (import "floe:capability/secrets@0.1.0" (instance)))
