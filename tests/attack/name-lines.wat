;; tries: to have an import whose name is a line of a flow file
;; places: load
;; holds: refused damaged
;; form: whole
;; spec: 21 45

(component (import "wasi:a\0agrants: {}/t@0.2.0" (instance)))
