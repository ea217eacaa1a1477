;; tries: to print three hundred kilobytes
;; places: handle call
;; holds: cut stdio
;; imports: stdout output.flush
;; with: stdio=64KiB
;; spec: 13 41

(func $attack (local $times i32)
  ;; Lines of four thousand letters.
  (memory.fill (i32.const 2048) (i32.const 120) (i32.const 3999))
  (i32.store8 (i32.const 6047) (i32.const 10))
  (loop $next
    (call $output.flush (call $stdout) (i32.const 2048) (i32.const 4000) (i32.const 1024))
    (br_if $next (i32.lt_u (local.tee $times (i32.add (local.get $times) (i32.const 1))) (i32.const 75)))))
