;; tries: to read a folder where there is no trace
;; places: describe tools
;; holds: completes
;; imports: folders
;; grants: { files: [{ dir: data, as: /data }] }
;; spec: 29 46

(func $attack
  (call $folders (i32.const 1024))
  ;; It crashes if there is any.
  (if (i32.load (i32.const 1028)) (then unreachable)))
