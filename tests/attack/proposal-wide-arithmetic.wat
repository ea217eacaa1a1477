;; tries: to multiply in 128 bits
;; places: load
;; holds: refused does-not-compile
;; form: whole
;; spec: 14

(component
  (core module (func (result i64 i64) (i64.mul_wide_u (i64.const 1) (i64.const 2))))
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
