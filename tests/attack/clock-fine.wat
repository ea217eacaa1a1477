;; tries: to have a clock by which secrets are told
;; places: initialize describe handle call
;; holds: completes
;; imports: clock.now
;; spec: 44

(func $attack (local $times i32)
  (loop $again
    ;; It crashes if it learns more than milliseconds.
    (if (i64.ne (i64.rem_u (call $clock.now) (i64.const 1000000)) (i64.const 0)) (then unreachable))
    (br_if $again (i32.lt_u (local.tee $times (i32.add (local.get $times) (i32.const 1))) (i32.const 2000)))))
