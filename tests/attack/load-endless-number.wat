;; tries: to have a number without an end
;; places: load
;; holds: refused damaged
;; form: hex
;; spec: 18

00 61 73 6d 0d 00 01 00
01 ff ff ff ff ff ff ff ff ff ff
