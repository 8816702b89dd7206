;; Control flow with values on the operand stack: blocks and loops that take
;; parameters and leave several results, br_table out of several depths, and
;; values that wait below a call. The results of "run" mix all of it; "_start"
;; prints them as one line of hex.
(module $multivalue
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (type $pair (func (param i64 i64) (result i64 i64)))

  ;; Quotient and remainder.
  (func $divide (type $pair)
    (i64.div_u (local.get 0) (local.get 1))
    (i64.rem_u (local.get 0) (local.get 1)))

  ;; Fibonacci without a local for the pair: it goes round on the stack.
  (func $fib (export "fib") (param $n i64) (result i64)
    (i64.const 0) (i64.const 1)
    (loop $again (param i64 i64) (result i64 i64)
      call $step
      (local.set $n (i64.sub (local.get $n) (i64.const 1)))
      (br_if $again (i64.gt_s (local.get $n) (i64.const 0))))
    drop)
  (func $step (param $a i64) (param $b i64) (result i64 i64)
    (local.get $b) (i64.add (local.get $a) (local.get $b)))

  ;; br_table with values: each target adds what it stands for on its way out.
  (func $select (export "select") (param $which i32) (param $v i64) (result i64)
    (block $three (result i64)
      (block $two (result i64)
        (block $one (result i64)
          (block $zero (result i64)
            (br_table $zero $one $two $three (local.get $v) (local.get $which)))
          (i64.add (i64.const 1)))
        (i64.add (i64.const 20)))
      (i64.add (i64.const 300))))

  ;; if with parameters and two results; an else of another length.
  (func $order (export "order") (type $pair)
    (local.get 0) (local.get 1)
    (i64.gt_u (local.get 0) (local.get 1))
    (if (param i64 i64) (result i64 i64)
      (then drop drop (local.get 1) (local.get 0))
      (else)))

  ;; Operands of four types wait on the stack while a function runs.
  (func $waiting (export "waiting") (param $n i32) (result i64)
    (local $kept i64)
    (i32.mul (local.get $n) (i32.const 3))
    (f32.convert_i32_u (local.get $n))
    (i64.extend_i32_u (local.get $n))
    (f64.convert_i32_u (local.get $n))
    (call $fib (i64.extend_i32_u (local.get $n)))
    (local.set $kept)
    (i64.trunc_sat_f64_u (f64.mul (f64.const 0.5)))
    i64.add
    (local.set $kept (i64.add (local.get $kept)))
    (i32.trunc_sat_f32_u)
    i32.add
    i64.extend_i32_u
    (i64.add (local.get $kept)))

  (func $run (export "run") (param $rounds i64) (result i64 i64)
    (local $i i64) (local $rest i64)
    (i64.const 7) (i64.const 11)
    (loop $again (param i64 i64) (result i64 i64)
      (local.set $i (i64.add (local.get $i) (i64.const 1)))
      (local.get $i) (i64.const 30)
      call $divide
      (local.set $rest)
      call $fib
      i64.add
      (i64.add (call $fib (local.get $rest)))
      call $step
      (i64.xor (call $select (i32.wrap_i64 (i64.rem_u (local.get $i) (i64.const 5))) (local.get $i)))
      call $order
      (i64.add (call $waiting (i32.wrap_i64 (i64.and (local.get $i) (i64.const 15)))))
      (i64.const 0x100000001b3)
      i64.mul
      call $step
      (br_if $again (i64.lt_u (local.get $i) (local.get $rounds)))))

  ;; 16 hex digits, ending before address $end.
  (func $hex (param $v i64) (param $end i32)
    (local $digit i32) (local $left i32)
    (local.set $left (i32.const 16))
    (loop $again
      (local.set $end (i32.sub (local.get $end) (i32.const 1)))
      (local.set $digit (i32.wrap_i64 (i64.and (local.get $v) (i64.const 15))))
      (i32.store8 (local.get $end)
        (i32.add (local.get $digit)
          (select (i32.const 87) (i32.const 48) (i32.gt_u (local.get $digit) (i32.const 9)))))
      (local.set $v (i64.shr_u (local.get $v) (i64.const 4)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))

  (func (export "_start")
    (local $a i64) (local $b i64)
    (call $run (i64.const 300))
    (local.set $b) (local.set $a)
    (call $hex (local.get $a) (i32.const 80))
    (i32.store8 (i32.const 80) (i32.const 32))
    (call $hex (local.get $b) (i32.const 97))
    (i32.store8 (i32.const 97) (i32.const 10))
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 34))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
