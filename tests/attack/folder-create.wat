;; tries: to make a file where it may read
;; places: handle
;; holds: completes
;; imports: folders file.open
;; grants: { files: [{ dir: data, as: /data }] }
;; spec: 29 30

(func $attack (local $dir i32)
  (call $folders (i32.const 1024))
  ;; The folder that it may read.
  (local.set $dir (i32.load (i32.load (i32.const 1024))))
  (call $file.open (local.get $dir) (i32.const 1) (i32.const 2048) (i32.const 3) (i32.const 1) (i32.const 1) (i32.const 1040))
  ;; It crashes if it was let.
  (if (i32.eqz (i32.load8_u (i32.const 1040))) (then unreachable)))
(data (i32.const 2048) "new")
