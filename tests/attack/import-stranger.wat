;; tries: to import what nobody knows
;; places: load
;; holds: refused unknown-import
;; form: whole
;; spec: 40

(component (import "acme:thing/x@1.0.0" (instance)))
