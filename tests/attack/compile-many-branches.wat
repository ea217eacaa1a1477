;; tries: to have twenty thousand variables, and to change each in a branch
;; places: load
;; holds: limit compile_memory, limit compile
;; with: compile=1500ms compile_memory=1GiB
;; form: whole
;; spec: 37 38

(component
  (core module
(func (param i32)
;; repeat 20000: (local $v# i32)
;; repeat 20000: (if (local.get 0) (then (local.set $v# (i32.const #))))
)
  )
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
