;; tries: to open a file without closing it
;; places: handle call
;; holds: limit resources
;; imports: folders file.open
;; grants: { files: [{ dir: data, as: /data }] }
;; with: resources=512
;; spec: 13 29

(func $attack (local $dir i32)
  (call $folders (i32.const 1024))
  ;; The folder that it may read.
  (local.set $dir (i32.load (i32.load (i32.const 1024))))
  (loop $again
    (call $file.open (local.get $dir) (i32.const 0) (i32.const 2048) (i32.const 4) (i32.const 0) (i32.const 1) (i32.const 1040))
    (br $again)))
(data (i32.const 2048) "file")
