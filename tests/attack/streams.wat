;; tries: to have streams without an end
;; places: describe handle call
;; holds: limit resources
;; imports: stdout
;; with: resources=512
;; spec: 13

(func $attack (loop $more (drop (call $stdout)) (br $more)))
