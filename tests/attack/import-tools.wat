;; tries: to call tools
;; places: load
;; holds: refused not-granted
;; form: whole
;; spec: 40 46

(component (import "floe:capability/tools@0.1.0" (instance)))
