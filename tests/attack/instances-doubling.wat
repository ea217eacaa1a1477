;; tries: to be made of parts that are each made of the one before, twice
;; places: load
;; holds: limit compile_memory, limit compile
;; with: compile=1500ms compile_memory=1GiB
;; form: whole
;; spec: 33 37

(component
  (component $c0 (core module $m) (core instance (instantiate $m)))
  (component $c1 (instance (instantiate $c0)) (instance (instantiate $c0)))
  (component $c2 (instance (instantiate $c1)) (instance (instantiate $c1)))
  (component $c3 (instance (instantiate $c2)) (instance (instantiate $c2)))
  (component $c4 (instance (instantiate $c3)) (instance (instantiate $c3)))
  (component $c5 (instance (instantiate $c4)) (instance (instantiate $c4)))
  (component $c6 (instance (instantiate $c5)) (instance (instantiate $c5)))
  (component $c7 (instance (instantiate $c6)) (instance (instantiate $c6)))
  (component $c8 (instance (instantiate $c7)) (instance (instantiate $c7)))
  (component $c9 (instance (instantiate $c8)) (instance (instantiate $c8)))
  (component $c10 (instance (instantiate $c9)) (instance (instantiate $c9)))
  (component $c11 (instance (instantiate $c10)) (instance (instantiate $c10)))
  (component $c12 (instance (instantiate $c11)) (instance (instantiate $c11)))
  (component $c13 (instance (instantiate $c12)) (instance (instantiate $c12)))
  (component $c14 (instance (instantiate $c13)) (instance (instantiate $c13)))
  (component $c15 (instance (instantiate $c14)) (instance (instantiate $c14)))
  (component $c16 (instance (instantiate $c15)) (instance (instantiate $c15)))
  (component $c17 (instance (instantiate $c16)) (instance (instantiate $c16)))
  (component $c18 (instance (instantiate $c17)) (instance (instantiate $c17)))
  (component $c19 (instance (instantiate $c18)) (instance (instantiate $c18)))
  (component $c20 (instance (instantiate $c19)) (instance (instantiate $c19)))
  (component $c21 (instance (instantiate $c20)) (instance (instantiate $c20)))
  (component $c22 (instance (instantiate $c21)) (instance (instantiate $c21)))
  (component $c23 (instance (instantiate $c22)) (instance (instantiate $c22)))
  (component $c24 (instance (instantiate $c23)) (instance (instantiate $c23)))
  (instance (instantiate $c24))
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
