;; tries: to have things to wait for without an end
;; places: initialize describe handle tools call
;; holds: limit resources
;; imports: clock.after
;; with: resources=512
;; spec: 13

(func $attack (loop $more (drop (call $clock.after (i64.const -1))) (br $more)))
