;; tries: to be made of more instances than it may
;; places: load
;; holds: limit instances
;; with: instances=16
;; form: whole
;; spec: 33 37

(component
  (core module $nothing)
;; repeat 16: (core instance (instantiate $nothing))
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
