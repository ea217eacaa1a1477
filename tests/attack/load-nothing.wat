;; tries: to be loaded without being anything
;; places: load
;; holds: refused not-a-component
;; form: hex
;; spec: 39


