;; Tables of functions: active, passive and declared segments, table.init, set,
;; get, grow, fill, copy, size, elem.drop, ref.func, ref.null, ref.is_null, and
;; function references kept in a local and in a global. Every stage calls
;; through all entries and prints the digits they return; "." is a null.
(module $tables
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (type $digit (func (result i32)))
  (table $t (export "table") 4 20 funcref)
  (table $other 6 funcref)
  (elem (table $t) (i32.const 0) func $d0 $d1 $d2)
  (elem (table $other) (i32.const 1) func $d7 $d8 $d9)
  (elem $passive func $d3 $d4 $d5 $d6)
  (elem declare func $d9)
  (global $kept (mut funcref) (ref.null func))
  (global $stage (export "stage") (mut i32) (i32.const 0))

  (func $d0 (result i32) (i32.const 0))
  (func $d1 (result i32) (i32.const 1))
  (func $d2 (result i32) (i32.const 2))
  (func $d3 (result i32) (i32.const 3))
  (func $d4 (result i32) (i32.const 4))
  (func $d5 (result i32) (i32.const 5))
  (func $d6 (result i32) (i32.const 6))
  (func $d7 (result i32) (i32.const 7))
  (func $d8 (result i32) (i32.const 8))
  ;; Works for its digit, so that a budget can end inside an indirect call.
  (func $d9 (result i32)
    (local $i i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 3)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 300))))
    (i32.sub (local.get $i) (i32.const 291)))

  ;; Writes the table as a line.
  (func $show
    (local $i i32) (local $entry funcref)
    (global.set $stage (i32.add (global.get $stage) (i32.const 1)))
    (loop $again
      (local.set $entry (table.get $t (local.get $i)))
      (i32.store8 offset=64 (local.get $i)
        (if (result i32) (ref.is_null (local.get $entry))
          (then (i32.const 46))
          (else (i32.add (i32.const 48) (call_indirect $t (type $digit) (local.get $i))))))
      ;; Writing the same entry back changes nothing, but is live across the call.
      (table.set $t (local.get $i) (local.get $entry))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (table.size $t))))
    (i32.store8 offset=64 (local.get $i) (i32.const 10))
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.add (local.get $i) (i32.const 1)))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))

  ;; Calls entry $i, whatever it is by now.
  (func (export "call") (param $i i32) (result i32)
    (call_indirect $t (type $digit) (local.get $i)))

  ;; Takes entries from the passive segment; traps once it is dropped.
  (func $take (export "take") (param $to i32) (param $from i32) (param $count i32)
    (table.init $t $passive (local.get $to) (local.get $from) (local.get $count)))

  (func (export "_start")
    (call $show)                                                      ;; 012.
    (drop (table.grow $t (ref.func $d9) (i32.const 4)))
    (call $show)                                                      ;; 012.9999
    (call $take (i32.const 3) (i32.const 0) (i32.const 4))
    (call $show)                                                      ;; 01234569
    (elem.drop $passive)
    (table.copy $t $t (i32.const 1) (i32.const 0) (i32.const 6))
    (call $show)                                                      ;; 00123459
    (global.set $kept (table.get $t (i32.const 7)))
    (table.fill $t (i32.const 2) (ref.null func) (i32.const 3))
    (call $show)                                                      ;; 00...459
    (table.copy $t $other (i32.const 1) (i32.const 0) (i32.const 5))
    (call $show)                                                      ;; 0.789.59
    (if (i32.ne (i32.const -1) (table.grow $t (ref.null func) (i32.const 100))) (then unreachable))
    (drop (table.grow $t (global.get $kept) (i32.const 2)))
    (table.set $t (i32.const 1) (ref.func $d9))
    (call $show)))                                                    ;; 09789.5999
