;; tries: to have a key of a kilobyte
;; places: handle
;; holds: limit state.key
;; imports: state.get
;; grants: { state: { space: s, bytes: 64KiB } }
;; spec: 17

(func $attack
  (memory.fill (i32.const 2048) (i32.const 120) (i32.const 1024))
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    (call $state.get (i32.const 0) (i32.const 2048) (i32.const 1024) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
