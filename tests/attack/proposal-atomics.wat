;; tries: to wait on a memory for another thread
;; places: load
;; holds: refused does-not-compile
;; form: whole
;; spec: 14

(component
  (core module (memory 1) (func (drop (memory.atomic.notify (i32.const 0) (i32.const 1)))))
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
