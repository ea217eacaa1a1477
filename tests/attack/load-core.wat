;; tries: to be loaded as a core module
;; places: load
;; holds: refused not-a-component
;; form: whole
;; spec: 39

(module)
