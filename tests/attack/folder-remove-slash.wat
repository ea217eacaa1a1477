;; tries: to remove a folder by a slash
;; places: handle
;; holds: completes
;; imports: folders file.remove-folder
;; grants: { files: [{ dir: data, as: /data }] }
;; spec: 29 30

(func $attack (local $dir i32)
  (call $folders (i32.const 1024))
  ;; The folder that it may read.
  (local.set $dir (i32.load (i32.load (i32.const 1024))))
  (call $file.remove-folder (local.get $dir) (i32.const 2048) (i32.const 7) (i32.const 1040))
  ;; It crashes if it was let.
  (if (i32.eqz (i32.load8_u (i32.const 1040))) (then unreachable)))
(data (i32.const 2048) "folder/")
