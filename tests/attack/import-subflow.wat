;; tries: to run flows
;; places: load
;; holds: refused not-granted
;; form: whole
;; spec: 40 46

(component (import "floe:capability/subflow@0.1.0" (instance)))
