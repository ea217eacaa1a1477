;; tries: to use WASI of a version that is switched off
;; places: load
;; holds: refused unknown-import
;; form: whole
;; spec: 40

(component (import "wasi:cli/run@0.3.0" (instance)))
