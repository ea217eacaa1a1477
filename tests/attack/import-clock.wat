;; tries: to have a clock by the contract
;; places: load
;; holds: refused not-granted
;; form: whole
;; spec: 40 44

(component (import "floe:capability/clock@0.1.0" (instance)))
