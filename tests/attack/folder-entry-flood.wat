;; tries: to read a folder's entries without an end
;; places: handle
;; holds: limit host_calls
;; imports: folders file.list file.entry
;; grants: { files: [{ dir: data, as: /data }] }
;; with: host_calls=2000
;; spec: 13 29

(func $attack (local $listing i32)
  (call $folders (i32.const 1024))
  ;; The folder that it may read, by the descriptor that it came with.
  (call $file.list (i32.load (i32.load (i32.const 1024))) (i32.const 1040))
  (if (i32.load8_u (i32.const 1040)) (then unreachable))
  (local.set $listing (i32.load (i32.const 1044)))
  (loop $again
    (call $file.entry (local.get $listing) (i32.const 1040))
    (br $again)))
