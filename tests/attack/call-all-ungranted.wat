;; tries: to call tools at once without a grant
;; places: handle
;; holds: refused not-granted
;; imports: tools.all
;; spec: 40 46

(func $attack (call $tools.all (i32.const 4096) (i32.const 1) (i32.const 1024)))
