;; A library rather than a program: exports with arguments and results, and no
;; imports. `start` runs once at instantiation and leaves a mark in a global.
(module $exports
  (global $started (mut i32) (i32.const 0))
  (global $calls (export "calls") (mut i64) (i64.const 0))
  (start $init)

  (func $init (global.set $started (i32.const 1)))

  (func $count (global.set $calls (i64.add (global.get $calls) (i64.const 1))))

  ;; 1 once the start function has run.
  (func (export "started") (result i32) (global.get $started))

  ;; The greatest common divisor, by Euclid.
  (func $gcd (export "gcd") (param $a i64) (param $b i64) (result i64)
    (local $rest i64)
    (call $count)
    (block $done
      (loop $again
        (br_if $done (i64.eqz (local.get $b)))
        (local.set $rest (i64.rem_u (local.get $a) (local.get $b)))
        (local.set $a (local.get $b))
        (local.set $b (local.get $rest))
        (br $again)))
    (local.get $a))

  ;; Two results, in the other order and of other types than the parameters.
  (func $swap (export "swap") (param $a i32) (param $b i64) (result i64 i32)
    (call $count)
    (local.get $b) (local.get $a))

  ;; The largest gcd(a, b) * a with 0 < a < b <= n: a number of steps that
  ;; grows with the square of n, for budgets that end inside.
  (func $search (export "search") (param $n i64) (result i64 i64)
    (local $a i64) (local $b i64) (local $now i64) (local $best i64) (local $at i64)
    (local.set $b (i64.const 2))
    (block $done
      (loop $outer
        (br_if $done (i64.gt_u (local.get $b) (local.get $n)))
        (local.set $a (i64.const 1))
        (loop $inner
          (local.set $now (i64.mul (local.get $a) (call $gcd (local.get $a) (local.get $b))))
          (if (i64.gt_u (local.get $now) (local.get $best))
            (then
              (local.set $best (local.get $now))
              (local.set $at (local.get $b))))
          (local.set $a (i64.add (local.get $a) (i64.const 1)))
          (br_if $inner (i64.lt_u (local.get $a) (local.get $b))))
        (local.set $b (i64.add (local.get $b) (i64.const 1)))
        (br $outer)))
    (local.get $best) (local.get $at))

  ;; All four number types, both ways.
  (func (export "numbers") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
    (call $count)
    (f64.sqrt (local.get 3))
    (f32.neg (local.get 2))
    (i64.clz (local.get 1))
    (i32.popcnt (local.get 0)))

  ;; How deep the guest can nest: n activations, each with a live value.
  (func $depth (export "depth") (param $n i32) (result i64)
    (if (result i64) (i32.eqz (local.get $n))
      (then (i64.const 0))
      (else (i64.add
        (call $depth (i32.sub (local.get $n) (i32.const 1)))
        (i64.extend_i32_u (local.get $n))))))

  ;; Exports that trap, each in another way.
  (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "unreachable") unreachable))
