;; tries: to have handles of its own without an end
;; places: load
;; holds: limit handles
;; with: handles=1000
;; form: whole
;; spec: 13

(component
  (type $thing (resource (rep i32)))
  (core func $new (canon resource.new $thing))
  (core module $code
    (import "" "new" (func $new (param i32) (result i32)))
    (func $attack (loop $more (drop (call $new (i32.const 1))) (br $more)))
    (start $attack)
    (func (export "f")))
  (core instance $core (instantiate $code (with "" (instance (export "new" (func $new))))))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
