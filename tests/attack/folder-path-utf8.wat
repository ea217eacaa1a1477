;; tries: to open a path that is not UTF-8
;; places: handle
;; holds: fault
;; imports: folders file.open
;; grants: { files: [{ dir: data, as: /data }] }
;; spec: 18 29

(func $attack (local $dir i32)
  (call $folders (i32.const 1024))
  ;; The folder that it may read.
  (local.set $dir (i32.load (i32.load (i32.const 1024))))
  (call $file.open (local.get $dir) (i32.const 1) (i32.const 2048) (i32.const 4) (i32.const 0) (i32.const 1) (i32.const 1040)))
(data (i32.const 2048) "\ff\fe\fd\fc")
