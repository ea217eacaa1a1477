;; tries: to open what lies hundreds of folders up
;; places: handle
;; holds: completes
;; imports: folders file.open
;; grants: { files: [{ dir: data, as: /data }] }
;; spec: 29 30

(func $attack (local $dir i32) (local $at i32)
  (call $folders (i32.const 1024))
  ;; The folder that it may read.
  (local.set $dir (i32.load (i32.load (i32.const 1024))))
  (loop $next
    (memory.copy (i32.add (i32.const 2048) (local.get $at)) (i32.const 2040) (i32.const 3))
    (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 3))) (i32.const 900))))
  (memory.copy (i32.const 2948) (i32.const 2043) (i32.const 5))
  (call $file.open (local.get $dir) (i32.const 1) (i32.const 2048) (i32.const 905) (i32.const 0) (i32.const 1) (i32.const 1040))
  ;; It crashes if it was let.
  (if (i32.eqz (i32.load8_u (i32.const 1040))) (then unreachable)))
(data (i32.const 2040) "../etc/x")
