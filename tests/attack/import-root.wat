;; tries: to import a capability that there is not
;; places: load
;; holds: refused unknown-import
;; form: whole
;; spec: 40

(component (import "floe:capability/root@0.0.1" (instance)))
