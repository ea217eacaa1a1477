;; tries: to be loaded as a program of the system
;; places: load
;; holds: refused not-a-component
;; form: hex
;; spec: 36

7f 45 4c 46 02 01 01 00 00 00 00 00 00 00 00 00
02 00 3e 00 01 00 00 00 00 00 00 00 00 00 00 00
