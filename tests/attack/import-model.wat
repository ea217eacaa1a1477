;; tries: to ask a model
;; places: load
;; holds: refused not-granted
;; form: whole
;; spec: 40 45

(component (import "floe:capability/model@0.0.1" (instance)))
