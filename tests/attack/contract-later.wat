;; tries: to be built for a later contract
;; places: load
;; holds: refused contract
;; form: whole
;; spec: 40

(component (import "floe:plugin/log@0.2.0" (instance)))
