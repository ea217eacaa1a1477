;; tries: to emit more bytes than it may
;; places: handle call
;; holds: limit emit
;; imports: emit.message
;; with: emit=4MiB
;; spec: 13

(func $attack
  (call $reach (i32.const 600000))
  (memory.fill (i32.const 65536) (i32.const 120) (i32.const 500000))
  ;; A text is JSON between two marks.
  (i32.store8 (i32.const 65536) (i32.const 34))
  (i32.store8 (i32.const 565535) (i32.const 34))
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    (call $emit.message (i32.const 65536) (i32.const 500000) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
