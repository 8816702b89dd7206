//! wasmi [N = 20]: an interpreter of WebAssembly, itself compiled to it, runs a sieve and a
//! recursion.

use tasklet_bench_programs::{argument, result};
use wasmi::{Engine, Linker, Module, Store};

const GUEST: &str = r#"(module
  (func $fib (export "fib") (param i32) (result i32)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
      (then (local.get 0))
      (else (i32.add
        (call $fib (i32.sub (local.get 0) (i32.const 1)))
        (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
  (memory 2)
  (func (export "sieve") (param $limit i32) (result i32) (local $i i32) (local $j i32) (local $count i32)
    (local.set $i (i32.const 2))
    (loop $next
      (if (i32.eqz (i32.load8_u (local.get $i)))
        (then
          (local.set $count (i32.add (local.get $count) (i32.const 1)))
          (local.set $j (local.get $i))
          (loop $strike
            (i32.store8 (local.get $j) (i32.const 1))
            (br_if $strike (i32.lt_u
              (local.tee $j (i32.add (local.get $j) (local.get $i))) (local.get $limit))))))
      (br_if $next (i32.lt_u
        (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $limit))))
    (local.get $count)))"#;

fn main() {
    let n = argument(1, 20) as i32;
    let engine = Engine::default();
    let module = Module::new(&engine, GUEST.as_bytes()).expect("the module is valid");
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate_and_start(&mut store, &module).expect("it has no imports");
    let mut sums = Vec::new();
    for name in ["fib", "sieve"] {
        let input = if name == "fib" { n } else { n * 4000 };
        let function = instance.get_typed_func::<i32, i32>(&store, name).expect("it is exported");
        sums.extend(function.call(&mut store, input).expect("it does not trap").to_le_bytes());
    }
    result("wasmi", &sums);
}
