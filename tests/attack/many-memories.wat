;; tries: to have more memories than it may have, a few in each module
;; places: load
;; holds: limit memories
;; with: memories=8
;; form: whole
;; spec: 10

(component
  (core module $some (memory 1) (memory 1) (memory 1))
;; repeat 3: (core instance (instantiate $some))
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
