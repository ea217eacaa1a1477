;; tries: to have twenty tables of jumps of fifty thousand targets
;; places: load
;; holds: limit compile_memory, limit compile
;; with: compile=1500ms compile_memory=1GiB
;; form: whole
;; spec: 37 38

(component
  (core module
(func (param i32)
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
(block (br_table
;; repeat 50000: 0(;;)
(local.get 0)))
)
  )
  (core module $code (func (export "f")))
  (core instance $core (instantiate $code))
  (func $describe (canon lift (core func $core "f")))
  (instance $node (export "describe" (func $describe)) (export "handle" (func $describe)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
