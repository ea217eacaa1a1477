;; tries: to take a compiler gigabytes with a few kilobytes
;; places: load
;; holds: refused does-not-compile
;; form: whole
;; spec: 38

(component
  (core module (func
;; repeat 1000: (local $v# i32)
;; repeat 1000: (loop
;; repeat 1000: (local.set $v# (i32.add (local.get $v#) (i32.const 1)))
;; repeat 1000: (br_if 0 (i32.const 0)))
  ))
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
