;; tries: to have nothing that could be called
;; places: load
;; holds: refused no-export
;; form: whole
;; spec: 40

(component)
