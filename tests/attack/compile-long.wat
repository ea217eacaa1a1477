;; tries: to be compiled for longer than it may
;; places: load
;; holds: limit compile
;; with: compile=1ms
;; form: whole
;; spec: 38

(component
  (core module
;; repeat 3000: (func (param i32) (result i32) (i32.mul (i32.add (local.get 0) (i32.const #)) (i32.xor (local.get 0) (i32.const 7))))
  )
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
