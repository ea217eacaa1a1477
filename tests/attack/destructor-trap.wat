;; tries: to crash when a thing of its own is given back
;; places: load
;; holds: fault
;; form: whole
;; spec: 8 31

(component
  (core module $destructor (func (export "drop") (param i32) unreachable))
  (core instance $destructor (instantiate $destructor))
  (type $thing (resource (rep i32) (dtor (core func $destructor "drop"))))
  (core func $new (canon resource.new $thing))
  (core func $drop (canon resource.drop $thing))
  (core module $code
    (import "" "new" (func $new (param i32) (result i32)))
    (import "" "drop" (func $drop (param i32)))
    (func $attack (call $drop (call $new (i32.const 1))))
    (start $attack)
    (func (export "f")))
  (core instance $core (instantiate $code (with "" (instance (export "new" (func $new)) (export "drop" (func $drop))))))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
