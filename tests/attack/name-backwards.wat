;; tries: to have an import whose name runs backwards
;; places: load
;; holds: refused damaged
;; form: whole
;; spec: 21

(component (import "wasi:x/\e2\80\aey@0.2.0" (instance)))
