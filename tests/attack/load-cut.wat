;; tries: to be loaded though it is cut off
;; places: load
;; holds: refused damaged
;; form: whole
;; keep: 40
;; spec: 39

(component (core module (func) (func) (memory 1)) (import "floe:plugin/log@0.1.0" (instance)))
