;; tries: to be of a version of WebAssembly that there is not
;; places: load
;; holds: refused not-a-component
;; form: hex
;; spec: 39

00 61 73 6d 63 00 09 00
