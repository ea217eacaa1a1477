;; tries: to have streams without an end
;; places: handle
;; holds: limit streams
;; imports: emit.chunk
;; spec: 19

(func $attack (local $n i32)
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    ;; A name that was not there before: three letters that count.
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (i32.store8 (i32.const 2048) (i32.add (i32.const 97) (i32.and (local.get $n) (i32.const 15))))
    (i32.store8 (i32.const 2049) (i32.add (i32.const 97) (i32.and (i32.shr_u (local.get $n) (i32.const 4)) (i32.const 15))))
    (i32.store8 (i32.const 2050) (i32.add (i32.const 97) (i32.and (i32.shr_u (local.get $n) (i32.const 8)) (i32.const 15))))
    (call $emit.chunk (i32.const 1) (i32.const 2048) (i32.const 3) (i32.const 352) (i32.const 6) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
