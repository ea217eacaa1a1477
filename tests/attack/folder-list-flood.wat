;; tries: to list a folder without an end
;; places: handle
;; holds: limit resources
;; imports: folders file.open file.list
;; grants: { files: [{ dir: data, as: /data }] }
;; with: resources=512
;; spec: 13 29

(func $attack (local $dir i32) (local $file i32)
  (call $folders (i32.const 1024))
  ;; The folder that it may read.
  (local.set $dir (i32.load (i32.load (i32.const 1024))))
  (call $file.open (local.get $dir) (i32.const 0) (i32.const 2048) (i32.const 1) (i32.const 2) (i32.const 1) (i32.const 1040))
  (if (i32.load8_u (i32.const 1040)) (then unreachable))
  (local.set $file (i32.load (i32.const 1044)))
  (loop $again
    (call $file.list (local.get $file) (i32.const 1040))
    (br $again)))
(data (i32.const 2048) ".")
