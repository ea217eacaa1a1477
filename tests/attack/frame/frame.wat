  ;; What stands around a case: the rest of a plugin that does as it should. It has the nodes and the tools `attack` and `good`; the
  ;; first of each calls the case's `$attack` if that is the place. A line that begins with `;;@` and a place becomes code there.

  ;; Two pages, of which a case may use the addresses from 1024 to 65535. What is allocated goes behind, and is never given back.
  (memory $memory (export "memory") 2)
  (global $free (mut i32) (i32.const 65536))
  ;; A case that has something else to return puts its address here.
  (global $result (mut i32) (i32.const 0))
  (global $specs (mut i32) (i32.const 8))
  (global $tools (mut i32) (i32.const 176))
  ;; Where `cabi_realloc` says that there is room, if it is not to tell the truth.
  (global $room (mut i32) (i32.const 0))
  (global $attacked (mut i32) (i32.const 0))

  ;; Makes the memory reach as far as this address; a refusal ends the call.
  (func $reach (param $end i32)
    (local $more i32)
    (local.set $more
      (i32.sub (i32.add (i32.shr_u (i32.sub (local.get $end) (i32.const 1)) (i32.const 16)) (i32.const 1)) (memory.size)))
    (if (i32.gt_s (local.get $more) (i32.const 0))
      (then (if (i32.eq (memory.grow (local.get $more)) (i32.const -1)) (then unreachable)))))
  (func $alloc (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get $size)))
    (call $reach (global.get $free))
    (local.get $at))
  (func $is-attack (param $arguments i32) (result i32)
    (i32.eq (i32.load8_u (i32.load (local.get $arguments))) (i32.const 97)))

  ;;@start (start $attack)
  ;;@initialize (func (export "_initialize") (call $attack))
  (func (export "cabi_realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
    ;; The first text that a call brings is the name `attack`, and no other has its length.
    ;;@realloc (if (i32.eq (local.get $size) (i32.const 6)) (then (call $attack)))
    (if (global.get $room) (then (return (global.get $room))))
    (call $alloc (local.get $size)))

  (func (export "floe:plugin/node@0.1.0#describe") (result i32)
    ;;@describe (call $attack)
    (global.get $specs))
  (func (export "floe:plugin/node@0.1.0#handle") (param $arguments i32) (result i32)
    (if (call $is-attack (local.get $arguments)) (then
      ;;@handle (call $attack)
      (global.set $attacked (i32.const 1))
      (if (global.get $result) (then (return (global.get $result))))))
    (i32.const 368))
  (func (export "cabi_post_floe:plugin/node@0.1.0#handle") (param $result i32)
    ;;@post-return (if (global.get $attacked) (then (call $attack)))
  )

  (func (export "floe:plugin/toolset@0.1.0#describe") (result i32)
    ;;@tools (call $attack)
    (global.get $tools))
  (func (export "floe:plugin/toolset@0.1.0#call") (param $arguments i32) (result i32)
    (if (call $is-attack (local.get $arguments)) (then
      ;;@call (call $attack)
      (if (global.get $result) (then (return (global.get $result))))))
    (i32.const 440))

  ;; At 8 the list of nodes, 76 bytes each from 16 on: the name's address and length, and nothing else.
  (data (i32.const 8) "\10\00\00\00\02\00\00\00")
  (data (i32.const 16) "\60\01\00\00\06\00\00\00")
  (data (i32.const 92) "\66\01\00\00\04\00\00\00")
  ;; At 176 the list of tools, 80 bytes each from 184 on: the name, no description, and the schema of the arguments.
  (data (i32.const 176) "\b8\00\00\00\02\00\00\00")
  (data (i32.const 184) "\60\01\00\00\06\00\00\00\00\00\00\00\00\00\00\00\6a\01\00\00\02\00\00\00")
  (data (i32.const 264) "\66\01\00\00\04\00\00\00\00\00\00\00\00\00\00\00\6a\01\00\00\02\00\00\00")
  (data (i32.const 352) "attackgood{}1")
  ;; At 368 what `handle` returns: one output, at 392, with the payload 1. At 440 what `call` returns: 1.
  (data (i32.const 384) "\88\01\00\00\01\00\00\00")
  (data (i32.const 392) "\6c\01\00\00\01\00\00\00")
  (data (i32.const 448) "\6c\01\00\00\01\00\00\00")
