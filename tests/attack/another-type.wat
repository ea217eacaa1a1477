;; tries: to use a thing to wait for as a stream
;; places: handle
;; holds: fault
;; imports: clock.after output.check
;; spec: 18

(func $attack
  (call $output.check (call $clock.after (i64.const 0)) (i32.const 1024)))
