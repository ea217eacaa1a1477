;; tries: to import more of the contract than there is
;; places: load
;; holds: refused unknown-import
;; form: whole
;; spec: 40

(component (import "floe:plugin/root@0.1.0" (instance)))
