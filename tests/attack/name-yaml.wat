;; tries: to have a grant suggested that is more than a name
;; places: load
;; holds: refused unknown-import
;; form: whole
;; spec: 21 45

(component (import "wasi:a{b}/t@0.2.0" (instance)))
