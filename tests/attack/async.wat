;; tries: to export a function that the host must drive
;; places: load
;; holds: refused does-not-compile
;; form: whole
;; spec: 2

(component
  (core module $code (func (export "f") (result i32) (i32.const 0)) (func (export "g") (param i32 i32 i32) (result i32) (i32.const 0)))
  (core instance $core (instantiate $code))
  (func $describe async (canon lift (core func $core "f") async (callback (core func $core "g"))))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
