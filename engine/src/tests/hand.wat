;; A module instrumented by hand, so that the engine can be tested against the ABI alone. Of:
;;
;; (module
;;   (import "env" "tick" (func $tick (param i32) (result i32)))
;;   (memory (export "memory") 1)
;;   (data (i32.const 4096) "hello")
;;   (global $calls (mut i64) (i64.const 5))
;;   (table 2 funcref)
;;   (elem (i32.const 1) $sum)
;;   (func $sum (export "sum") (param $n i32) (result i32) (local $acc i32)
;;     loop $next
;;       ;; acc += tick(n); memory[n * 4] = acc; calls += 1; n -= 1
;;       (br_if $next (local.get $n))
;;     end
;;     local.get $acc))
;;
;; The entry costs 2, an iteration 5, of which 3 are for what follows the call.
(module
  (import "env" "tick" (func $import (param i32) (result i32)))
  (memory $m (export "memory") (export "tasklet.memory.0") 1)
  (memory $f (export "tasklet.frames") 1)
  (data (memory $m) (i32.const 4096) "hello")
  (global $fuel (export "tasklet.fuel") (mut i64) (i64.const 0))
  (global (export "tasklet.debt") (mut i64) (i64.const 0))
  (global $sp (export "tasklet.sp") (mut i32) (i32.const 64))
  (global (export "tasklet.ref_sp") (mut i32) (i32.const 1))
  (global $calls (export "tasklet.global.0") (mut i64) (i64.const 5))
  (table (export "tasklet.refs") 1 funcref)
  (table $functions (export "tasklet.functions") 1 1 funcref)
  (table $t (export "tasklet.table.0") 2 funcref)
  (elem (table $functions) (i32.const 0) func $sum)
  (elem (table $t) (i32.const 1) func $sum)

  (func $run (@name "tasklet.run") (export "tasklet.run") (result i32) (local $fuel i64)
    loop $next
      (if (i32.eq (global.get $sp) (i32.const 64)) (then (return (i32.const 0))))
      i32.const 0
      (if (result i32 i64) (i32.load $f (i32.sub (global.get $sp) (i32.const 8)))
        (then (call $sum (i32.const 0) (i64.const 0x8000000000000000)))
        (else (call $tick (i32.const 0) (i64.const 0x8000000000000000))))
      local.set $fuel
      i32.store $f
      (if (i64.lt_s (local.get $fuel) (i64.const -0x80000000)) (then (return (i32.const 1))))
      (global.set $fuel (local.get $fuel))
      br $next
    end
    unreachable)

  (func (@name "tasklet.export.sum") (export "sum") (param i32) (result i32) (local $fuel i64)
    (call $sum (local.get 0) (global.get $fuel))
    local.tee $fuel
    (if (i64.lt_s (i64.const -0x80000000)) (then unreachable))
    (global.set $fuel (local.get $fuel)))

  (func $trailer (@name "tasklet.trailer") (param $point i32) (param $slot i32) (param $size i32)
    (global.set $sp (i32.add (global.get $sp) (local.get $size)))
    (i32.store $f (i32.sub (global.get $sp) (i32.const 16)) (local.get $point))
    (i32.store $f (i32.sub (global.get $sp) (i32.const 12)) (i32.const 0))
    (i32.store $f (i32.sub (global.get $sp) (i32.const 8)) (local.get $slot))
    (i32.store $f (i32.sub (global.get $sp) (i32.const 4)) (local.get $size)))

  (func $tick (@name "tasklet.import.tick") (param $arg i32) (param $fuel i64) (result i32 i64)
    (local $r i32)
    (if (i64.eq (local.get $fuel) (i64.const 0x8000000000000000)) (then
      (global.set $sp (i32.sub (global.get $sp) (i32.const 24)))
      (local.set $arg (i32.load $f (global.get $sp)))
      (local.set $fuel (global.get $fuel))))
    (global.set $fuel (local.get $fuel))
    (local.set $r (call $import (local.get $arg)))
    (if (i64.lt_s (global.get $fuel) (i64.const -0x80000000)) (then
      (global.set $fuel (local.get $fuel))
      (i32.store $f (global.get $sp) (local.get $arg))
      (call $trailer (i32.const 0) (i32.const 0) (i32.const 24))
      (return (i32.const 0) (i64.const 0x8000000000000001))))
    (local.get $r)
    (global.get $fuel))

  (func $sum (@name "1:sum") (param $n i32) (param $fuel i64) (result i32 i64)
    (local $acc i32) (local $r i32) (local $at i32)
    (if (i64.eq (local.get $fuel) (i64.const 0x8000000000000000)) (then
      (local.set $at
        (i32.sub (i32.load $f (i32.sub (global.get $sp) (i32.const 16))) (i32.const 1)))
      (global.set $sp (i32.sub (global.get $sp)
        (i32.load $f (i32.sub (global.get $sp) (i32.const 4)))))
      (local.set $n (i32.load $f (global.get $sp)))
      (if (local.get $at)
        (then (local.set $acc (i32.load $f offset=8 (global.get $sp)))))
      (local.set $r (i32.load $f (i32.const 0)))
      (local.set $fuel (global.get $fuel))))
    (if (i32.eqz (local.get $at)) (then
      (if (i64.lt_s (local.get $fuel) (i64.const 2)) (then
        (global.set $fuel (local.get $fuel))
        (i32.store $f (global.get $sp) (local.get $n))
        (call $trailer (i32.const 1) (i32.const 1) (i32.const 24))
        (return (i32.const 0) (i64.const 0x8000000000000001))))
      (local.set $fuel (i64.sub (local.get $fuel) (i64.const 2)))))
    loop $next
      (if (i32.ne (local.get $at) (i32.const 2)) (then
        (if (i64.lt_s (local.get $fuel) (i64.const 5)) (then
          (global.set $fuel (local.get $fuel))
          (i32.store $f (global.get $sp) (local.get $n))
          (i32.store $f offset=8 (global.get $sp) (local.get $acc))
          (call $trailer (i32.const 2) (i32.const 1) (i32.const 32))
          (return (i32.const 0) (i64.const 0x8000000000000001))))
        (local.set $fuel (i64.sub (local.get $fuel) (i64.const 5)))
        (call $tick (local.get $n) (local.get $fuel))
        (local.set $fuel)
        (local.set $r)
        ;; Only the import's frame can be above: it moves up to make room for this one.
        (if (i64.lt_s (local.get $fuel) (i64.const -0x80000000)) (then
          (global.set $sp (i32.sub (global.get $sp) (i32.const 24)))
          (memory.copy $f $f (i32.add (global.get $sp) (i32.const 32)) (global.get $sp)
            (i32.const 24))
          (i32.store $f (global.get $sp) (local.get $n))
          (i32.store $f offset=8 (global.get $sp) (local.get $acc))
          (call $trailer (i32.const 3) (i32.const 1) (i32.const 32))
          (global.set $sp (i32.add (global.get $sp) (i32.const 24)))
          (return (i32.const 0) (i64.const 0x8000000000000001))))))
      (local.set $at (i32.const 1))
      (local.set $acc (i32.add (local.get $acc) (local.get $r)))
      (i32.store $m (i32.mul (local.get $n) (i32.const 4)) (local.get $acc))
      (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $next (local.get $n))
    end
    (local.get $acc)
    (local.get $fuel)))
