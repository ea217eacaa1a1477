;; tries: to have a thousand variables, and to change them in thousands of branches
;; places: load
;; holds: fault, limit compile, limit compile_memory
;; with: compile=1500ms compile_memory=1GiB
;; form: whole
;; spec: 37 38

(component
  (core module
(func (param i32)
;; repeat 1000: (local $v# i32)
;; repeat 3000: (if (local.get 0) (then (local.set $v1 (i32.const #)) (local.set $v500 (local.get $v1)) (local.set $v999 (local.get $v500))))
)
  )
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
