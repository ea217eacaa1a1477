;; tries: to send to a node whose name is a path
;; places: handle
;; holds: fault
;; spec: 21

(func $attack (global.set $result (i32.const 1024)))
;; A list of one output, which is at 1056: payload, meta, successors, topic, priority.
(data (i32.const 1040) "\20\04\00\00\01\00\00\00")
(data (i32.const 1056) "\00\08\00\00\01\00\00\00\00\00\00\00\00\00\00\00\10\08\00\00\01\00\00\00")
(data (i32.const 2048) "1")
(data (i32.const 2064) "\20\08\00\00\10\00\00\00")
(data (i32.const 2080) "../../etc/passwd")
