;; tries: to have more exports than there are names
;; places: load
;; holds: refused damaged
;; form: whole
;; spec: 37

(component (instance)
;; repeat 10001: (export "e#" (instance 0))
)
