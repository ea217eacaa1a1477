;; tries: to stream a piece of half a megabyte
;; places: handle
;; holds: limit chunk
;; imports: emit.chunk
;; with: chunk=64KiB
;; spec: 17

(func $attack
  (call $reach (i32.const 600000))
  (memory.fill (i32.const 65536) (i32.const 120) (i32.const 500000))
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    (call $emit.chunk (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 500000) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
