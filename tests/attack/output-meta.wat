;; tries: to send with more keys than anybody can keep apart
;; places: handle
;; holds: fault
;; spec: 19

(func $attack (global.set $result (i32.const 1024)))
;; A list of one output, which is at 1056: payload, meta, successors, topic, priority.
(data (i32.const 1040) "\20\04\00\00\01\00\00\00")
(data (i32.const 1056) "\00\08\00\00\01\00\00\00\00\10\00\00\41\00\00\00")
(data (i32.const 2048) "1")
;; repeat 65: (data (i32.add (i32.const 4096) (i32.mul (i32.const 16) (i32.const #))) "\00\08\00\00\01\00\00\00\00\08\00\00\01\00\00\00")
