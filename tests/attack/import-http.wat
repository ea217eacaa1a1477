;; tries: to speak HTTP by the contract
;; places: load
;; holds: refused not-granted
;; form: whole
;; spec: 40 45

(component (import "floe:capability/http@0.1.0" (instance)))
