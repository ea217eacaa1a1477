;; tries: to have the host print gigabytes of zeroes
;; places: handle
;; holds: limit host_calls
;; imports: stdout output.check output.zeroes
;; with: host_calls=5000
;; spec: 13

(func $attack (local $out i32)
  (local.set $out (call $stdout))
  (loop $again
    (call $output.check (local.get $out) (i32.const 1024))
    (call $output.zeroes (local.get $out) (i64.load (i32.const 1032)) (i32.const 1048))
    (br $again)))
