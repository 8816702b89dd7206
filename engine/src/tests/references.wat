;; A module instrumented by hand, with references in every place that can hold them. Of:
;;
;; (module
;;   (import "host" "make" (func $make (param i32) (result externref)))
;;   (import "host" "throw" (func $throw (param externref)))
;;   (import "env" "base" (global $base i32))
;;   (import "env" "memory" (memory 1))
;;   (import "env" "objects" (table $objects 2 externref))
;;   (import "env" "tag" (tag $t (param i32 externref exnref)))
;;   (tag $chain (param exnref))
;;   (data (global.get $base) "hello")
;;   (global $made (mut externref) (ref.null extern))
;;   (table $exceptions 2 exnref)
;;   (func (export "main") (param $o externref) (result externref exnref) (local $x exnref) (local $n i32)
;;     ;; made = make(7); try throw(o) catch_ref => n, x; objects[1] = o; exceptions[0] = x
;;     loop ;; n -= 1
;;       (br_if 0 (local.get $n))
;;     end
;;     local.get $o local.get $x))
;;
;; The entry costs 5, an iteration 2.
(module
  (import "host" "make" (func $make (param i32) (result externref)))
  (import "host" "throw" (func $throw (param externref)))
  (import "env" "base" (global $base i32))
  (memory $m (export "tasklet.memory.0") 1)
  (memory $f (export "tasklet.frames") 1)
  (data (memory $m) (global.get $base) "hello")
  (tag $t (export "tasklet.tag.0") (param i32 externref exnref))
  (tag $chain (export "tasklet.tag.1") (param exnref))
  (global $fuel (export "tasklet.fuel") (mut i64) (i64.const 0))
  (global (export "tasklet.debt") (mut i64) (i64.const 0))
  (global $sp (export "tasklet.sp") (mut i32) (i32.const 64))
  (global $ref_sp (export "tasklet.ref_sp") (mut i32) (i32.const 2))
  (global $made (export "tasklet.global.1") (mut externref) (ref.null extern))
  (table $re (export "tasklet.refs.extern") 2 externref)
  (table $rx (export "tasklet.refs.exn") 2 exnref)
  (table $functions (export "tasklet.functions") 0 0 funcref)
  (table $objects (export "tasklet.table.0") 2 externref)
  (table $exceptions (export "tasklet.table.1") 2 exnref)

  (func (export "tasklet.grow_references") (param $to i32)
    (drop (table.grow $re (ref.null extern) (i32.sub (local.get $to) (table.size $re))))
    (drop (table.grow $rx (ref.null exn) (i32.sub (local.get $to) (table.size $rx)))))
  (func (export "tasklet.forget_references") (param $from i32) (param $to i32)
    (table.fill $re (local.get $from) (ref.null extern) (i32.sub (local.get $to) (local.get $from)))
    (table.fill $rx (local.get $from) (ref.null exn) (i32.sub (local.get $to) (local.get $from))))
  (func $run (@name "tasklet.run") (export "tasklet.run") (result i32)
    (local $fuel i64) (local $o externref) (local $x exnref)
    loop $next
      (if (i32.eq (global.get $sp) (i32.const 64)) (then (return (i32.const 0))))
      (call $main (ref.null extern) (i64.const 0x8000000000000000))
      local.set $fuel
      local.set $x
      local.set $o
      (if (i64.lt_s (local.get $fuel) (i64.const -0x80000000)) (then (return (i32.const 1))))
      (table.set $re (i32.const 0) (local.get $o))
      (table.set $rx (i32.const 1) (local.get $x))
      (global.set $fuel (local.get $fuel))
      br $next
    end
    unreachable)

  (func $spill (@name "tasklet.spill") (param $point i32) (param $references i32) (param $size i32)
    (param $o externref) (param $fuel i64)
    (global.set $fuel (local.get $fuel))
    (table.set $re (global.get $ref_sp) (local.get $o))
    (global.set $ref_sp (i32.add (global.get $ref_sp) (local.get $references)))
    (global.set $sp (i32.add (global.get $sp) (local.get $size)))
    (i32.store $f (i32.sub (global.get $sp) (i32.const 16)) (local.get $point))
    (i32.store $f (i32.sub (global.get $sp) (i32.const 12)) (local.get $references))
    (i32.store $f (i32.sub (global.get $sp) (i32.const 8)) (i32.const 0))
    (i32.store $f (i32.sub (global.get $sp) (i32.const 4)) (local.get $size)))

  (func $main (@name "2:main") (param $o externref) (param $fuel i64)
    (result externref exnref i64)
    (local $x exnref) (local $n i32) (local $at i32)
    (local.set $at (i32.load $f (i32.sub (global.get $sp) (i32.const 16))))
    (global.set $ref_sp (i32.sub (global.get $ref_sp)
      (i32.load $f (i32.sub (global.get $sp) (i32.const 12)))))
    (global.set $sp (i32.sub (global.get $sp)
      (i32.load $f (i32.sub (global.get $sp) (i32.const 4)))))
    (local.set $fuel (global.get $fuel))
    (local.set $o (table.get $re (global.get $ref_sp)))
    (if (local.get $at)
      (then
        (local.set $n (i32.load $f (global.get $sp)))
        (local.set $x (table.get $rx (i32.add (global.get $ref_sp) (i32.const 1)))))
      (else
        (if (i64.lt_s (local.get $fuel) (i64.const 5)) (then
          (call $spill (i32.const 0) (i32.const 1) (i32.const 16) (local.get $o)
            (local.get $fuel))
          (return (ref.null extern) (ref.null exn) (i64.const 0x8000000000000001))))
        (global.set $fuel (i64.sub (local.get $fuel) (i64.const 5)))
        (global.set $made (call $make (i32.const 7)))
        (block $caught (result i32 externref exnref exnref)
          (try_table (catch_ref $t $caught)
            (call $throw (local.get $o)))
          (unreachable))
        local.set $x
        drop
        drop
        local.set $n
        (local.set $fuel (global.get $fuel))
        (table.set $objects (i32.const 1) (local.get $o))
        (table.set $exceptions (i32.const 0) (local.get $x))))
    loop $next
      (if (i64.lt_s (local.get $fuel) (i64.const 2)) (then
        (i32.store $f (global.get $sp) (local.get $n))
        (table.set $rx (i32.add (global.get $ref_sp) (i32.const 1)) (local.get $x))
        (call $spill (i32.const 1) (i32.const 2) (i32.const 24) (local.get $o) (local.get $fuel))
        (return (ref.null extern) (ref.null exn) (i64.const 0x8000000000000001))))
      (local.set $fuel (i64.sub (local.get $fuel) (i64.const 2)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $next (local.get $n))
    end
    (local.get $o)
    (local.get $x)
    (local.get $fuel)))
