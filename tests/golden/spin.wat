;; A plugin whose only node computes until it is stopped: the guest that `floe bench runtime` cancels. `spin.wasm` is this text
;; as a component, and `host/floe/tests/bench.rs` compares them. It has no imports, and no more of the contract than it must.
(component
  (core module $code
    (memory (export "memory") 1)
    ;; What the host writes goes behind the data below, and is never given back: each call has a fresh instance.
    (global $free (mut i32) (i32.const 256))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get $size)))
      (local.get $at))
    ;; A list of one spec at 8, the spec itself at 16, its texts at 128 and 132; whatever else it has is none, false or empty.
    (data (i32.const 8) "\10\00\00\00\01\00\00\00")
    (data (i32.const 16) "\80\00\00\00\04\00\00\00\84\00\00\00\1d\00\00\00")
    (data (i32.const 128) "spin" "Computes until it is stopped.")
    (func (export "describe") (result i32) (i32.const 8))
    (func (export "handle") (param $arguments i32) (result i32) (loop $for-ever (result i32) (br $for-ever))))
  (core instance $instance (instantiate $code))
  (alias core export $instance "memory" (core memory $memory))
  (alias core export $instance "realloc" (core func $realloc))

  (type $field (tuple string string))
  (type $side-effect (enum "pure" "read" "write" "external"))
  (type $failure-kind (enum
    "invalid-input" "not-found" "conflict" "denied" "exhausted" "timed-out" "busy" "unavailable" "cancelled" "internal"))
  (type $failure (record
    (field "kind" $failure-kind) (field "message" string) (field "retry-after-ms" (option u64)) (field "detail" (option string))))
  (type $output (record
    (field "payload" string) (field "meta" (list $field)) (field "to" (list string)) (field "topic" (option string))
    (field "priority" (option s32))))
  (type $spec (record
    (field "name" string) (field "description" string) (field "input" (option string)) (field "output" (option string))
    (field "config" (option string)) (field "side-effect" $side-effect) (field "idempotent" bool) (field "tags" (list string))
    (field "hints" (option string))))
  (type $message (record
    (field "trace" string) (field "id" string) (field "parent" (option string)) (field "source" (option string))
    (field "attempt" u32) (field "turn" u32) (field "deadline-ms" (option u64)) (field "tenant" string)
    (field "user" (option string)) (field "session" (option string)) (field "topic" (option string)) (field "priority" s32)
    (field "payload" string) (field "meta" (list $field))))
  (type $working-memory (record (field "memory" string) (field "tokens-used" u64)))
  (type $outcome (variant (case "outputs" (list $output)) (case "again" $working-memory) (case "final" string)))

  (func $describe (result (list $spec))
    (canon lift (core func $instance "describe") (memory $memory)))
  (func $handle (param "node" string) (param "config" string) (param "message" $message)
    (result (result $outcome (error $failure)))
    (canon lift (core func $instance "handle") (memory $memory) (realloc $realloc)))
  (instance $node
    (export "field" (type $field))
    (export "side-effect" (type $side-effect))
    (export "failure-kind" (type $failure-kind))
    (export "failure" (type $failure))
    (export "output" (type $output))
    (export "spec" (type $spec))
    (export "message" (type $message))
    (export "working-memory" (type $working-memory))
    (export "outcome" (type $outcome))
    (export "describe" (func $describe))
    (export "handle" (func $handle)))
  (export "floe:plugin/node@0.1.0" (instance $node)))
