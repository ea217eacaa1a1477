;; tries: to call through typed references
;; places: load
;; holds: refused does-not-compile
;; form: whole
;; spec: 14

(component
  (core module (type $f (func)) (func (param (ref $f))))
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
