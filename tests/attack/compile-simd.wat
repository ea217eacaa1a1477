;; tries: to have a function of a hundred thousand shuffles
;; places: load
;; holds: fault, limit compile, limit compile_memory
;; with: compile=1500ms compile_memory=1GiB
;; form: whole
;; spec: 37 38

(component
  (core module
(func (param v128) (result v128) (local.get 0)
;; repeat 100000: (local.get 0) (i8x16.shuffle 0 1 2 3 4 5 6 7 24 25 26 27 28 29 30 31)
)
  )
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
