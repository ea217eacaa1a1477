;; tries: to ask people
;; places: load
;; holds: refused not-granted
;; form: whole
;; spec: 40 45

(component (import "floe:capability/approval@0.0.1" (instance)))
