;; tries: to have nearly as many functions as it may
;; places: load
;; holds: limit compile, limit compile_memory, fault
;; with: compile=1500ms compile_memory=1GiB
;; form: whole
;; spec: 37 38

(component
  (core module
(func (param i32) (result i32) (i32.mul (local.get 0) (local.get 0)))
;; repeat 99990: (func (param i32) (result i32) (i32.mul (i32.add (local.get 0) (i32.const #)) (call 0 (local.get 0))))
  )
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
