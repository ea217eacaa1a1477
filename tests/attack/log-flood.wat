;; tries: to log ten thousand lines
;; places: initialize describe handle tools call
;; holds: cut log_lines
;; imports: log.write
;; with: log_lines=100
;; spec: 19 41

(func $attack (local $line i32)
  (loop $next
    (call $log.write (i32.const 4) (i32.const 1024) (i32.const 5) (i32.const 0) (i32.const 0))
    (br_if $next (i32.lt_u (local.tee $line (i32.add (local.get $line) (i32.const 1))) (i32.const 10000)))))
(data (i32.const 1024) "flood")
