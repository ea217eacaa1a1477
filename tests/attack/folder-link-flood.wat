;; tries: to have the host read a link without an end
;; places: handle
;; holds: limit host_calls
;; imports: folders file.read-link
;; grants: { files: [{ dir: data, as: /data }] }
;; with: host_calls=2000
;; spec: 13 29

(func $attack (local $dir i32)
  (call $folders (i32.const 1024))
  ;; The folder that it may read.
  (local.set $dir (i32.load (i32.load (i32.const 1024))))
  (loop $again
    ;; Room for where it leads, again and again.
    (global.set $free (i32.const 65600))
    (call $file.read-link (local.get $dir) (i32.const 2048) (i32.const 3) (i32.const 1040))
    (br $again)))
(data (i32.const 2048) "out")
