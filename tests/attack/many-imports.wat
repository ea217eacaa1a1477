;; tries: to import more than it may
;; places: load
;; holds: limit imports
;; with: imports=1000
;; form: whole
;; spec: 37

(component
  (core module
;; repeat 1001: (import "m" "f#" (func))
  )
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
