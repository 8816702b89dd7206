//! Small kernels that stress one thing each, as text.

use anyhow::Result;

use crate::Program;

const FIB: &str = r#"(module
  (memory (export "memory") 1)
  (global $n i32 (i32.const N))
  (func $fib (param $n i32) (result i32)
    (if (result i32) (i32.lt_s (local.get $n) (i32.const 2))
      (then (local.get $n))
      (else (i32.add
        (call $fib (i32.sub (local.get $n) (i32.const 1)))
        (call $fib (i32.sub (local.get $n) (i32.const 2)))))))
  (func (export "_start") (drop (call $fib (global.get $n)))))"#;

const TAK: &str = r#"(module
  (memory (export "memory") 1)
  (global $n i32 (i32.const N))
  (func $tak (param $x i32) (param $y i32) (param $z i32) (result i32)
    (if (result i32) (i32.lt_s (local.get $y) (local.get $x))
      (then (call $tak
        (call $tak (i32.sub (local.get $x) (i32.const 1)) (local.get $y) (local.get $z))
        (call $tak (i32.sub (local.get $y) (i32.const 1)) (local.get $z) (local.get $x))
        (call $tak (i32.sub (local.get $z) (i32.const 1)) (local.get $x) (local.get $y))))
      (else (local.get $z))))
  (func (export "_start") (drop (call $tak (global.get $n) (i32.const 12) (i32.const 6)))))"#;

const MATRIX: &str = r#"(module
  (memory (export "memory") 64)
  (global $n i32 (i32.const N))
  (func (export "_start")
    (local $i i32) (local $j i32) (local $k i32) (local $s f64)
    (loop $rows
      (local.set $j (i32.const 0))
      (loop $columns
        (local.set $k (i32.const 0))
        (local.set $s (f64.const 0))
        (loop $products
          (local.set $s (f64.add (local.get $s) (f64.mul
            (f64.load (i32.shl (i32.add (i32.mul (local.get $i) (global.get $n)) (local.get $k)) (i32.const 3)))
            (f64.load offset=1000000 (i32.shl (i32.add (i32.mul (local.get $k) (global.get $n)) (local.get $j)) (i32.const 3))))))
          (br_if $products (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (global.get $n))))
        (f64.store offset=2000000
          (i32.shl (i32.add (i32.mul (local.get $i) (global.get $n)) (local.get $j)) (i32.const 3))
          (f64.add (local.get $s) (f64.const 1)))
        (br_if $columns (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (global.get $n))))
      (br_if $rows (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (global.get $n))))))"#;

/// The kernels as programs.
pub fn programs(short: bool) -> Result<Vec<Program>> {
    let list = [
        ("fib", FIB, if short { 15 } else { 32 }),
        ("tak", TAK, if short { 13 } else { 26 }),
        ("matrix", MATRIX, if short { 20 } else { 350 }),
    ];
    list.into_iter()
        .map(|(name, text, n)| {
            Ok(Program {
                name: name.into(),
                wasm: wat::parse_str(text.replace("(i32.const N)", &format!("(i32.const {n})")))?,
                args: vec![name.into()],
                dir: None,
                stdin: Vec::new(),
            })
        })
        .collect()
}
