;; tries: to have the host pump its input into its output without an end
;; places: handle
;; holds: limit host_calls
;; imports: stdout stdin output.splice
;; with: host_calls=20000
;; spec: 1 13

(func $attack (local $out i32) (local $in i32)
  (local.set $out (call $stdout))
  (local.set $in (call $stdin))
  (loop $again
    (call $output.splice (local.get $out) (local.get $in) (i64.const -1) (i32.const 1024))
    (br $again)))
