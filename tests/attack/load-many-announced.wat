;; tries: to announce four billion imports
;; places: load
;; holds: refused damaged
;; form: hex
;; spec: 18 37

00 61 73 6d 0d 00 01 00
0a 05 ff ff ff ff 0f
