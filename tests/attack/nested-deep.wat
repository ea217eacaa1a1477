;; tries: to be made of components within components, fifty levels deep
;; places: load
;; holds: fault
;; form: whole
;; spec: 37

(component
;; repeat 50: (component
;; repeat 50: )
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
