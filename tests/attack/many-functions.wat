;; tries: to have a million functions
;; places: load
;; holds: limit functions
;; with: functions=100000
;; form: whole
;; spec: 37

(component
  (core module
;; repeat 1000000: (func)
  )
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
