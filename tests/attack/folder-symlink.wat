;; tries: to lay a link out of the folder
;; places: handle
;; holds: completes
;; imports: folders file.symlink
;; grants: { files: [{ dir: data, as: /data }] }
;; spec: 29 30

(func $attack (local $dir i32)
  (call $folders (i32.const 1024))
  ;; The folder that it may read.
  (local.set $dir (i32.load (i32.load (i32.const 1024))))
  (call $file.symlink (local.get $dir) (i32.const 2048) (i32.const 9) (i32.const 352) (i32.const 6) (i32.const 1040))
  ;; It crashes if it was let.
  (if (i32.eqz (i32.load8_u (i32.const 1040))) (then unreachable)))
(data (i32.const 2048) "../secret")
