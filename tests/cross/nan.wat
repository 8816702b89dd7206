;; NaNs that arithmetic makes: their sign and payload are the CPU's choice, unless --deterministic.
;; They live in locals across a loop, and their bits become the result.
(module
  (memory (export "memory") 1)
  (func (export "run") (param $rounds i32) (result i64 i64 i64)
    (local $f64 f64) (local $f32 f32) (local $v128 v128) (local $bits i64)
    (local.set $f64 (f64.div (f64.load (i32.const 0)) (f64.load (i32.const 8))))
    (local.set $f32 (f32.sqrt (f32.sub (f32.load (i32.const 0)) (f32.const 1))))
    (local.set $v128 (f32x4.div (v128.load (i32.const 0)) (v128.load (i32.const 16))))
    (loop $again
      (local.set $bits (i64.xor
        (i64.rotl (local.get $bits) (i64.const 7))
        (i64.reinterpret_f64 (f64.add (local.get $f64) (f64.convert_i32_s (local.get $rounds))))))
      (local.set $f32 (f32.mul (local.get $f32) (f32.const 3)))
      (local.set $v128 (f32x4.add (local.get $v128) (f32x4.splat (f32.const 1))))
      (f64.store (i32.const 32) (local.get $f64))
      (f32.store (i32.const 40) (local.get $f32))
      (v128.store (i32.const 48) (local.get $v128))
      (br_if $again (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
    (local.get $bits)
    (i64.extend_i32_u (i32.reinterpret_f32 (local.get $f32)))
    (i64x2.extract_lane 1 (local.get $v128))))
