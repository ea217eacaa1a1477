;; tries: to wait for nothing
;; places: handle
;; holds: fault
;; imports: poll.poll
;; spec: 1

(func $attack (call $poll.poll (i32.const 1024) (i32.const 0) (i32.const 1032)))
