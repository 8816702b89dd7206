//! The pause property, on small programs: running without a pause is running with a pause, a
//! snapshot and a new tasklet wherever a slice can end. Results, traps, steps, memories, globals
//! and tables are the same.

mod common;

use common::{invoke, module, sliced, straight};
use tasklet_engine::{Host, Outcome, TrapKind, Value};

/// Checks the property and returns the outcome.
fn check(wat: &str, name: &str, args: &[Value]) -> Outcome {
    let module = module(wat);
    let entry = invoke(name, args);
    let expected = straight(&module, Host::empty(), &entry);
    if matches!(expected.outcome, Outcome::Finished(_)) {
        assert_eq!(expected.steps, fuel(wat, name, args), "steps are wasmtime's own fuel");
    }
    for budget in [1, 2, 3, 7, 50, 1000] {
        let (found, _) = sliced(&module, &Host::empty, &Host::empty, &entry, budget);
        if let Outcome::Trapped(trap) = &expected.outcome {
            // After a trap the count is the last one known, which depends on the slices.
            let Outcome::Trapped(other) = &found.outcome else { panic!("{:?}", found.outcome) };
            assert_eq!(trap.kind, other.kind);
            assert_eq!(functions(trap), functions(other), "budget {budget}");
            continue;
        }
        common::same(&expected, &found, budget);
    }
    expected.outcome
}

/// What wasmtime itself counts for the original module, from after its instantiation (of which
/// the count is wasmtime's own affair) on; so the start function is called by hand.
fn fuel(wat: &str, name: &str, args: &[Value]) -> u64 {
    let mut config = wasmtime::Config::new();
    config.consume_fuel(true);
    let engine = wasmtime::Engine::new(&config).unwrap();
    let wat = wat.replace("(start $start)", r#"(export "start" (func $start))"#);
    let original = wasmtime::Module::new(&engine, wat::parse_str(&wat).unwrap()).unwrap();
    let mut store = wasmtime::Store::new(&engine, ());
    store.set_fuel(u64::MAX).unwrap();
    let instance = wasmtime::Instance::new(&mut store, &original, &[]).unwrap();
    store.set_fuel(u64::MAX).unwrap();
    for first in ["start", "_initialize"] {
        if let Ok(first) = instance.get_typed_func::<(), ()>(&mut store, first) {
            first.call(&mut store, ()).unwrap();
        }
    }
    let function = instance.get_func(&mut store, name).unwrap();
    let args: Vec<_> = args
        .iter()
        .map(|arg| match arg {
            Value::I32(value) => wasmtime::Val::I32(*value),
            other => panic!("no test passes {other}"),
        })
        .collect();
    let mut results = vec![wasmtime::Val::I32(0); function.ty(&store).results().len()];
    function.call(&mut store, &args, &mut results).unwrap();
    u64::MAX - store.get_fuel().unwrap()
}

fn functions(trap: &tasklet_engine::Trap) -> Vec<u32> {
    trap.backtrace.iter().map(|frame| frame.function).collect()
}

fn finished(values: &[Value]) -> Outcome {
    Outcome::Finished(values.to_vec())
}

#[test]
fn recursion() {
    let wat = r#"(module (func $fib (export "fib") (param i32) (result i32)
        (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
          (then (local.get 0))
          (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                         (call $fib (i32.sub (local.get 0) (i32.const 2))))))))"#;
    assert_eq!(check(wat, "fib", &[Value::I32(10)]), finished(&[Value::I32(55)]));
}

#[test]
fn memory_grows_and_keeps() {
    let wat = r#"(module (memory 1 10) (data (i32.const 60000) "begin")
        (func (export "run") (param $n i32) (result i32) (local $p i32)
          (loop $next
            (if (i32.eqz (i32.and (local.get $n) (i32.const 7)))
              (then (drop (memory.grow (i32.const 1)))))
            (local.set $p (i32.mul (local.get $n) (i32.const 3000)))
            (i32.store (local.get $p) (i32.add (i32.load8_u (i32.const 60001)) (local.get $n)))
            (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
          (memory.fill (i32.const 60000) (i32.const 0) (i32.const 5536))
          (i32.add (memory.size) (i32.load (i32.const 3000)))))"#;
    let outcome = check(wat, "run", &[Value::I32(20)]);
    assert_eq!(outcome, finished(&[Value::I32(3 + 1)]));
}

#[test]
fn every_type_of_value_survives() {
    let wat = r#"(module
        (table 4 funcref) (elem (i32.const 0) $one $two)
        (func $one (result i32) (i32.const 1))
        (func $two (result i32) (i32.const 2))
        (global $g (mut f64) (f64.const 1.5))
        (global $v (mut v128) (v128.const i64x2 1 2))
        (global $r (mut funcref) (ref.null func))
        (func $spin (param i32) (loop $l
          (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
        (func (export "run") (result i32 i64 f32 f64 v128 funcref)
          (local $r funcref) (local $f f32) (local $i i64)
          (local.set $r (table.get (i32.const 1)))
          (local.set $f (f32.const -0.5))
          (local.set $i (i64.const -7))
          (call $spin (i32.const 3))
          (i64.extend_i32_s (i32.const 9))
          (call $spin (i32.const 3))
          (local.set $i (i64.add (local.get $i)))
          (table.set (i32.const 3) (local.get $r))
          (global.set $r (local.get $r))
          (global.set $g (f64.mul (global.get $g) (f64.const 2)))
          (call $spin (i32.const 2))
          (global.set $v (i64x2.add (global.get $v) (v128.const i64x2 1 1)))
          (call_indirect (result i32) (i32.const 3))
          (local.get $i) (local.get $f) (global.get $g) (global.get $v)
          (call $spin (i32.const 2))
          (local.get $r)))"#;
    let v128 = 2 | 3 << 64;
    let expected = [
        Value::I32(2),
        Value::I64(2),
        Value::F32((-0.5f32).to_bits()),
        Value::F64(3f64.to_bits()),
        Value::V128(v128),
        Value::FuncRef(Some(1)),
    ];
    assert_eq!(check(wat, "run", &[]), finished(&expected));
}

#[test]
fn the_start_function_and_the_initializer_come_first() {
    let wat = r#"(module (global $g (mut i32) (i32.const 1))
        (func $start (local i32) (local.set 0 (i32.const 3))
          (loop $l (global.set $g (i32.mul (global.get $g) (i32.const 2)))
            (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
        (start $start)
        (func (export "_initialize") (global.set $g (i32.add (global.get $g) (i32.const 1))))
        (func (export "run") (param i32) (result i32)
          (loop $l (global.set $g (i32.add (global.get $g) (i32.const 10)))
            (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
          (global.get $g)))"#;
    assert_eq!(check(wat, "run", &[Value::I32(2)]), finished(&[Value::I32(29)]));
}

#[test]
fn dropped_segments_stay_dropped() {
    let wat = r#"(module (memory 1) (table 2 funcref)
        (data $d "abc") (elem $e func $f)
        (func $f)
        (func $spin (param i32) (loop $l
          (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
        (func (export "run")
          (memory.init $d (i32.const 5) (i32.const 0) (i32.const 3))
          (table.init $e (i32.const 0) (i32.const 0) (i32.const 1))
          (data.drop $d) (elem.drop $e)
          (call $spin (i32.const 5))
          (table.init $e (i32.const 0) (i32.const 0) (i32.const 0))
          (memory.init $d (i32.const 5) (i32.const 0) (i32.const 3))))"#;
    let Outcome::Trapped(trap) = check(wat, "run", &[]) else { panic!("it must trap") };
    assert_eq!(trap.kind, TrapKind::MemoryOutOfBounds);
}

#[test]
fn a_trap_shows_resumed_and_paused_frames_alike() {
    let wat = r#"(module
        (func $inner (param i32) (loop $l
            (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
          unreachable)
        (func $middle (param i32) (call $inner (local.get 0)) (drop (i32.const 1)) nop)
        (func (export "run") (param i32) (result i32)
          (call $middle (local.get 0)) (i32.const 1)))"#;
    let Outcome::Trapped(trap) = check(wat, "run", &[Value::I32(5)]) else { panic!("no trap") };
    assert_eq!((trap.kind, trap.message.as_str()), (TrapKind::Unreachable, "unreachable"));
    assert_eq!(trap.backtrace.first().map(|frame| frame.name.as_str()), Some("inner"));
}

#[test]
fn the_limit_on_memory_is_the_guests_to_see() {
    let wat = r#"(module (memory 1) (func (export "run") (result i32)
        (memory.grow (i32.const 40000))))"#;
    let module = module(wat);
    let mut limits = tasklet_engine::Limits::default();
    limits.memory_bytes = 2 << 16;
    let host = Host::builder().limits(limits).build();
    let end = straight(&module, host, &invoke("run", &[]));
    assert_eq!(end.outcome, finished(&[Value::I32(-1)]));
}

#[test]
fn deep_stacks_resume_frame_by_frame() {
    let wat = r#"(module (func $deep (export "deep") (param i32) (result i64)
        (if (result i64) (local.get 0)
          (then (i64.add (i64.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
          (else (i64.const 0)))))"#;
    let module = module(wat);
    let entry = invoke("deep", &[Value::I32(500)]);
    let expected = straight(&module, Host::empty(), &entry);
    assert_eq!(expected.outcome, finished(&[Value::I64(500)]));
    for budget in [100, 1234] {
        let (found, _) = sliced(&module, &Host::empty, &Host::empty, &entry, budget);
        common::same(&expected, &found, budget);
    }
}
