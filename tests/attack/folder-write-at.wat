;; tries: to write to a file that it has opened to read
;; places: handle
;; holds: completes
;; imports: folders file.open file.write-at
;; grants: { files: [{ dir: data, as: /data }] }
;; spec: 29 30

(func $attack (local $dir i32) (local $file i32)
  (call $folders (i32.const 1024))
  ;; The folder that it may read.
  (local.set $dir (i32.load (i32.load (i32.const 1024))))
  (call $file.open (local.get $dir) (i32.const 0) (i32.const 2048) (i32.const 4) (i32.const 0) (i32.const 1) (i32.const 1040))
  (if (i32.load8_u (i32.const 1040)) (then unreachable))
  (local.set $file (i32.load (i32.const 1044)))
  (call $file.write-at (local.get $file) (i32.const 352) (i32.const 6) (i64.const 0) (i32.const 1040))
  ;; It crashes if it was let.
  (if (i32.eqz (i32.load8_u (i32.const 1040))) (then unreachable)))
(data (i32.const 2048) "file")
