;; tries: to emit to a node whose name is a path
;; places: handle
;; holds: told invalid-input
;; imports: emit.message
;; spec: 21

(func $attack
  ;; Until it is refused; the refusal is what it fails with.
  (loop $next
    (call $emit.message (i32.const 364) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 2048) (i32.const 1) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024))
    (br_if $next (i32.eqz (i32.load8_u (i32.const 1024)))))
  (global.set $result (i32.const 1024)))
(data (i32.const 2048) "\08\08\00\00\06\00\00\00../../")
