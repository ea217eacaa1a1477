;; tries: to get at a store of keys
;; places: load
;; holds: refused not-granted
;; form: whole
;; spec: 40

(component (import "wasi:keyvalue/store@0.2.0" (instance)))
