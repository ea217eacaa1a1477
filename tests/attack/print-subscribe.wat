;; tries: to wait for its output in more ways than there are
;; places: describe handle
;; holds: limit resources
;; imports: stdout output.subscribe
;; with: resources=512
;; spec: 13

(func $attack (local $out i32)
  (local.set $out (call $stdout))
  (loop $more (drop (call $output.subscribe (local.get $out))) (br $more)))
