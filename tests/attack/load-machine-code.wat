;; tries: to be loaded as machine code that somebody else compiled
;; places: load
;; holds: refused not-a-component
;; form: hex
;; spec: 36

7f 45 4c 46 02 01 01 c8 00 00 00 00 00 00 00 00
01 00 3e 00 01 00 00 00 00 00 00 00 00 00 00 00
00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
02 00 00 00 40 00 00 00 00 00 40 00 00 00 00 00
