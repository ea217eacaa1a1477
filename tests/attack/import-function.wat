;; tries: to import a function without an interface
;; places: load
;; holds: refused unknown-import
;; form: whole
;; spec: 40

(component (import "run" (func)))
