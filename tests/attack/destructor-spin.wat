;; tries: to compute for ever when a thing of its own is given back
;; places: load
;; holds: limit fuel
;; with: fuel=3e7
;; form: whole
;; spec: 8

(component
  (core module $destructor (func (export "drop") (param i32) (loop $for-ever (br $for-ever))))
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
