;; tries: to have real randomness
;; places: load
;; holds: refused not-granted
;; form: whole
;; spec: 40 45

(component (import "floe:capability/random@0.1.0" (instance)))
