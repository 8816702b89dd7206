;; Memory in bulk: memory.init from a passive segment, fill, copy (overlapping
;; too), grow, data.drop. Whether a segment has been dropped cannot be asked
;; for, only found out by a trap: "reuse" does so after "_start", which drops
;; it halfway. Prints a line per stage.
(module $bulk
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1 16)
  (data $words "one two three four five six seven eight nine ten\n")
  (data (i32.const 32) "dropped\n")
  (data (i32.const 48) "grown\n")
  (global $lines (export "lines") (mut i32) (i32.const 0))

  (func $print (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length))
    (global.set $lines (i32.add (global.get $lines) (i32.const 1)))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))

  ;; The sum of all bytes of a stretch, each times its place: tells layouts apart.
  (func $sum (export "sum") (param $at i32) (param $length i32) (result i32)
    (local $i i32) (local $sum i32)
    (block $done
      (loop $again
        (br_if $done (i32.ge_u (local.get $i) (local.get $length)))
        (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31))
          (i32.load8_u (i32.add (local.get $at) (local.get $i)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again)))
    (local.get $sum))

  ;; Takes from the passive segment; traps once it is dropped.
  (func $reuse (export "reuse") (param $from i32) (param $length i32)
    (memory.init $words (i32.const 4096) (local.get $from) (local.get $length)))

  (func (export "_start")
    (local $round i32) (local $page i32)
    (call $reuse (i32.const 0) (i32.const 49))
    (call $print (i32.const 4096) (i32.const 49))

    ;; Shifts the line to the right by four, eight times, over itself.
    (loop $again
      (memory.copy (i32.const 4100) (i32.const 4096) (i32.const 44))
      (local.set $round (i32.add (local.get $round) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $round) (i32.const 8))))
    (call $print (i32.const 4096) (i32.const 49))

    (data.drop $words)
    (call $print (i32.const 32) (i32.const 8))

    ;; New pages, each filled with its own letter and printed in part.
    (loop $grow
      (local.set $page (memory.grow (i32.const 1)))
      (memory.fill (i32.shl (local.get $page) (i32.const 16))
        (i32.add (i32.const 64) (local.get $page)) (i32.const 65536))
      (i32.store8 (i32.add (i32.shl (local.get $page) (i32.const 16)) (i32.const 20)) (i32.const 10))
      (call $print (i32.shl (local.get $page) (i32.const 16)) (i32.const 21))
      (br_if $grow (i32.lt_u (local.get $page) (i32.const 3))))

    ;; memory.grow beyond the maximum fails and leaves everything as it was.
    (if (i32.eq (memory.grow (i32.const 100)) (i32.const -1))
      (then (if (i32.eq (memory.size) (i32.const 4))
        (then (call $print (i32.const 48) (i32.const 6))))))
    (if (i32.ne (call $sum (i32.const 4096) (i32.const 200000)) (i32.const 457462663))
      (then unreachable))))
