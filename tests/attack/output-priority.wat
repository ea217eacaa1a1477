;; tries: to go ahead of everybody
;; places: handle
;; holds: completes
;; spec: 46

(func $attack (global.set $result (i32.const 1024)))
;; A list of one output, which is at 1056: payload, meta, successors, topic, priority.
(data (i32.const 1040) "\20\04\00\00\01\00\00\00")
(data (i32.const 1056) "\00\08\00\00\01\00\00\00")
(data (i32.const 1092) "\01\00\00\00\ff\ff\ff\7f")
(data (i32.const 2048) "1")
