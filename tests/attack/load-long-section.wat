;; tries: to announce a section of four gigabytes
;; places: load
;; holds: refused damaged
;; form: hex
;; spec: 18 37

00 61 73 6d 0d 00 01 00
01 ff ff ff ff 0f 00
