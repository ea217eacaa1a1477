;; tries: to give the same megabyte as the arguments of sixty calls
;; places: handle
;; holds: limit hostcall
;; imports: tools.all
;; grants: { tools: [attack/good] }
;; spec: 17 19

(func $attack (local $n i32) (local $at i32)
  (call $reach (i32.const 1065536))
  (memory.fill (i32.const 65536) (i32.const 49) (i32.const 1000000))
  (loop $next
    (local.set $at (i32.shl (local.get $n) (i32.const 4)))
    (i32.store offset=4096 (local.get $at) (i32.const 2048))
    (i32.store offset=4100 (local.get $at) (i32.const 11))
    (i32.store offset=4104 (local.get $at) (i32.const 65536))
    (i32.store offset=4108 (local.get $at) (i32.const 1000000))
    (br_if $next (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 60))))
  (call $tools.all (i32.const 4096) (i32.const 60) (i32.const 1024)))
(data (i32.const 2048) "attack/good")
