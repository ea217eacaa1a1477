;; tries: to have state
;; places: load
;; holds: refused not-granted
;; form: whole
;; spec: 40 45

(component (import "floe:capability/state@0.1.0" (instance)))
