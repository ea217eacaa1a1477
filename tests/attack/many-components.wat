;; tries: to be made of a thousand components
;; places: load
;; holds: limit nested
;; with: nested=200
;; form: whole
;; spec: 37

(component
;; repeat 1000: (component)
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
