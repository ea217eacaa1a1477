;; tries: to have a hundred thousand exports
;; places: load
;; holds: fault, limit compile, limit compile_memory
;; with: compile=1500ms compile_memory=1GiB
;; form: whole
;; spec: 37 38

(component
  (core module
(func $f)
;; repeat 99999: (export "e#" (func $f))
  )
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
