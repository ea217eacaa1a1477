;; tries: to have one function of a sum of a million parts
;; places: load
;; holds: limit compile, limit compile_memory, fault
;; with: compile=1500ms compile_memory=1GiB
;; form: whole
;; spec: 37 38

(component
  (core module
(func (param i32) (result i32) (local.get 0)
;; repeat 1000000: (local.get 0) i32.add
)
  )
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
