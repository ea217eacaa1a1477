;; tries: to learn more of the time by the clock on the wall
;; places: handle call
;; holds: completes
;; imports: wall.now
;; grants: { clock: { resolution: 1s } }
;; spec: 44

(func $attack (local $times i32)
  (loop $again
    (call $wall.now (i32.const 1024))
    ;; It crashes if it learns more than seconds.
    (if (i32.load (i32.const 1032)) (then unreachable))
    (br_if $again (i32.lt_u (local.tee $times (i32.add (local.get $times) (i32.const 1))) (i32.const 2000)))))
