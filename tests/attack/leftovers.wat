;; tries: to read what another instance has left in its memory and its table
;; places: initialize
;; holds: completes
;; spec: 16

(table $table 5000 funcref)
(func $attack (local $at i32)
  (call $reach (i32.const 4194304))
  (local.set $at (i32.const 65536))
  ;; It crashes if there is anything; each instance leaves something in turn.
  (loop $next
    (if (i32.load (local.get $at)) (then unreachable))
    (i32.store (local.get $at) (i32.const -1))
    (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 4194304))))
  (local.set $at (i32.const 0))
  (loop $next
    (if (i32.eqz (ref.is_null (table.get $table (local.get $at)))) (then unreachable))
    (table.set $table (local.get $at) (ref.func $attack))
    (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (i32.const 5000)))))
(elem declare func $attack)
