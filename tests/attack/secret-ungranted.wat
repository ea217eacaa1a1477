;; tries: to have secrets without a grant
;; places: handle
;; holds: refused not-granted
;; imports: secrets.placeholder
;; spec: 40 45

(func $attack (call $secrets.placeholder (i32.const 352) (i32.const 6) (i32.const 1024)))
