;; tries: to be loaded as text
;; places: load
;; holds: refused not-a-component
;; form: text
;; spec: 39

(component)
