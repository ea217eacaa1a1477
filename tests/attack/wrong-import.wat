;; tries: to import a function of the contract as one of another type
;; places: load
;; holds: refused interface
;; form: whole
;; spec: 40

(component
  (import "floe:plugin/log@0.1.0" (instance (export "write" (func (param "a" u32)))))
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
