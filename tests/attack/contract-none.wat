;; tries: to be built for a contract without a version
;; places: load
;; holds: refused contract
;; form: whole
;; spec: 40

(component (import "floe:plugin/log" (instance)))
