;; tries: to write and to remove without an end
;; places: handle
;; holds: limit host_calls
;; imports: state.set state.delete
;; grants: { state: { space: s, bytes: 64KiB } }
;; with: host_calls=20000
;; spec: 19

(func $attack (loop $again
  (call $state.set (i32.const 0) (i32.const 352) (i32.const 6) (i32.const 364) (i32.const 1) (i32.const 1024))
  (call $state.delete (i32.const 0) (i32.const 352) (i32.const 6) (i32.const 1024))
  (br $again)))
