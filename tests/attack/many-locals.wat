;; tries: to have a function with more variables than there may be
;; places: load
;; holds: refused does-not-compile
;; form: whole
;; spec: 37

(component
  (core module (func
;; repeat 50001: (local i32)
  ))
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
