;; tries: to export a node that cannot be called
;; places: load
;; holds: refused interface
;; form: whole
;; spec: 40

(component
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
