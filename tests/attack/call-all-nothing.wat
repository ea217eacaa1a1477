;; tries: to call no tools at once, and to have an answer
;; places: describe handle tools call
;; holds: completes
;; imports: tools.all
;; grants: { tools: [attack/good] }
;; spec: 19 46

(func $attack
  (call $tools.all (i32.const 4096) (i32.const 0) (i32.const 1024))
  ;; It crashes if there is one.
  (if (i32.load (i32.const 1028)) (then unreachable)))
