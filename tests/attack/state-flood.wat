;; tries: to look values up without an end
;; places: handle
;; holds: limit host_calls
;; imports: state.get
;; grants: { state: { space: s, bytes: 64KiB } }
;; with: host_calls=20000
;; spec: 19

(func $attack (loop $again (call $state.get (i32.const 0) (i32.const 352) (i32.const 6) (i32.const 1024)) (br $again)))
