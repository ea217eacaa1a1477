;; tries: to log a line of a megabyte, with a field of a megabyte
;; places: handle
;; holds: cut log_line
;; imports: log.write
;; with: log_line=4KiB
;; spec: 41 17

(func $attack
  (call $reach (i32.const 2000000))
  (memory.fill (i32.const 65536) (i32.const 120) (i32.const 1048576))
  (call $log.write (i32.const 4) (i32.const 65536) (i32.const 1048576) (i32.const 1024) (i32.const 1)))
(data (i32.const 1024) "\60\01\00\00\06\00\00\00\00\00\01\00\00\00\10\00")
