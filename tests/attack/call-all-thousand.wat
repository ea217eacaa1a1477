;; tries: to call a tool that it may call, a thousand times at once
;; places: handle call
;; holds: limit calls
;; imports: tools.all
;; grants: { tools: [attack/good] }
;; with: calls=100
;; spec: 19 46

(func $attack (local $n i32) (local $at i32)
  (loop $next
    (local.set $at (i32.shl (local.get $n) (i32.const 4)))
    (i32.store offset=4096 (local.get $at) (i32.const 2048))
    (i32.store offset=4100 (local.get $at) (i32.const 11))
    (i32.store offset=4104 (local.get $at) (i32.const 362))
    (i32.store offset=4108 (local.get $at) (i32.const 2))
    (br_if $next (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000))))
  (call $tools.all (i32.const 4096) (i32.const 1000) (i32.const 1024))
  (if (i32.ne (i32.load (i32.const 1028)) (i32.const 1000)) (then unreachable))
  ;; The last answer is what it fails with.
  (global.set $result (i32.add (i32.load (i32.const 1024)) (i32.const 55944))))
(data (i32.const 2048) "attack/good")
