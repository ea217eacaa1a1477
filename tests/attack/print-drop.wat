;; tries: to let its output go while something waits for it, and to go on
;; places: handle
;; holds: fault
;; imports: stdout output.subscribe output.drop output.flush
;; spec: 31

(func $attack (local $out i32)
  (local.set $out (call $stdout))
  (drop (call $output.subscribe (local.get $out)))
  (call $output.drop (local.get $out))
  (call $output.flush (local.get $out) (i32.const 352) (i32.const 6) (i32.const 1024)))
