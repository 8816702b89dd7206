//! References, exceptions and imported state end to end: at every pause a snapshot goes through
//! bytes into a new tasklet, and the outcome, the steps and the state are those of a straight run.

use tasklet_engine::snapshot::Limits as ReadLimits;
use tasklet_engine::{
    Digest, Engine, Entry, Error, Host, HostError, HostObject, Module, Outcome, Snapshot,
    SnapshotOptions, Tasklet, TrapKind, ValType, Value,
};

/// What the host gives to guests.
struct Name(String);

fn load(wat: &str) -> Module {
    let engine =
        Engine::new(&tasklet_tests::options()).expect("the default options work everywhere");
    let wasm = wat::parse_str(wat).expect("the test's text is a module");
    Module::load(&engine, &wasm).expect("the module can be loaded")
}

fn name_of(value: &Value) -> &str {
    let Value::ExternRef(Some(object)) = value else { panic!("{value:?} is no object") };
    &object.downcast_ref::<Name>().expect("it is a name").0
}

fn host() -> Host {
    Host::builder()
        .func("host", "make", &[ValType::I32], &[ValType::ExternRef], |_, args| {
            Ok(vec![Value::ExternRef(Some(HostObject::new(Name(args[0].to_string()))))])
        })
        .func("host", "length", &[ValType::ExternRef], &[ValType::I32], |_, args| {
            Ok(vec![Value::I32(name_of(&args[0]).len() as i32)])
        })
        .func("host", "throw", &[ValType::I32], &[], |ctx, args| Err(ctx.throw(0, args)))
        .func("host", "call", &[], &[ValType::I32], |ctx, _| {
            match ctx.call_export("thrower", &[]) {
                Err(error) => match error.exception().cloned() {
                    Some(thrown) => swallowed(ctx.exception(&thrown)?),
                    None => Err(error),
                },
                Ok(_) => Err(HostError::new("it has not thrown")),
            }
        })
        .global("env", "base", Value::I32(64))
        .global("env", "start", Value::I64(5))
        .adopt("env", "memory")
        .adopt("env", "table")
        .adopt("env", "tag")
        .codec::<Name>(
            "name",
            |name| Ok(name.0.clone().into_bytes()),
            |bytes| Ok(Name(String::from_utf8_lossy(bytes).into_owned())),
        )
        .build()
}

fn swallowed((tag, payload): (u32, Vec<Value>)) -> Result<Vec<Value>, HostError> {
    assert_eq!(tag, 0);
    Ok(payload)
}

fn invoke() -> Entry {
    Entry::Invoke { name: "run".into(), args: vec![] }
}

fn capture(tasklet: &mut Tasklet) -> Snapshot<'static> {
    let mut bytes = Vec::new();
    tasklet.dump(&mut bytes, &SnapshotOptions::default()).expect("it can be written");
    Snapshot::read_from(&mut &bytes[..], &ReadLimits::DEFAULT).expect("it can be read").0
}

fn ended(mut tasklet: Tasklet) -> (u64, Snapshot<'static>) {
    let snapshot = Snapshot { parent: None, balance: 0, ..capture(&mut tasklet) };
    (tasklet.steps_used().expect("it is known"), snapshot)
}

/// Runs it at many budgets; the outcome of the straight run.
fn check(wat: &str) -> Outcome {
    let module = load(wat);
    let mut straight = Tasklet::spawn(&module, host(), invoke()).expect("it can be spawned");
    let outcome = straight.run(u64::MAX).expect("it runs");
    let expected = ended(straight);
    for budget in [1, 2, 3, 5, 7, 11, 50] {
        let mut tasklet = Tasklet::spawn(&module, host(), invoke()).expect("it can be spawned");
        while tasklet.run(budget).expect("it runs") == Outcome::OutOfBudget {
            let written = capture(&mut tasklet);
            let digest = Digest([0; 32]);
            tasklet = Tasklet::load(&module, &written, digest, host()).expect("it can be loaded");
        }
        let found = ended(tasklet);
        assert_eq!(found.0, expected.0, "steps at budget {budget}");
        assert!(found.1 == expected.1, "state at budget {budget}: {:?}", found.1.status);
    }
    outcome
}

#[test]
fn objects_in_locals_operands_tables_and_globals() {
    let outcome = check(
        r#"(module
        (import "host" "make" (func $make (param i32) (result externref)))
        (import "host" "length" (func $length (param externref) (result i32)))
        (table $t 2 10 externref)
        (global $g (mut externref) (ref.null extern))
        (func $wait (param $n i32)
          (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
        (func (export "run") (result i32 externref) (local $o externref)
          (local.set $o (call $make (i32.const 12345)))
          (table.set $t (i32.const 1) (local.get $o))
          (global.set $g (call $make (i32.const 7)))
          (drop (table.grow $t (global.get $g) (i32.const 3)))
          (local.get $o)
          (call $wait (i32.const 9))
          (call $length)
          (i32.add (call $length (table.get $t (i32.const 4))))
          (i32.add (call $length (global.get $g)))
          (table.get $t (i32.const 1))))"#,
    );
    let Outcome::Finished(results) = outcome else { panic!("{outcome:?}") };
    assert_eq!((&results[0], name_of(&results[1])), (&Value::I32(7), "12345"));
}

#[test]
fn exceptions_are_caught_across_pauses() {
    let outcome = check(
        r#"(module
        (tag $t (param i32)) (tag $wrap (param exnref i64))
        (import "host" "throw" (func $host (param i32)))
        (table $kept 1 exnref)
        (func $deep (param $n i32)
          (if (i32.eqz (local.get $n)) (then (throw $t (i32.const 40))))
          (call $deep (i32.sub (local.get $n) (i32.const 1))))
        (func $wait (param $n i32)
          (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
        (func (export "run") (result i32) (local $x exnref) (local $sum i32)
          (block $h (result i32 exnref)
            (try_table (catch_ref $t $h) (call $deep (i32.const 6)))
            (unreachable))
          (local.set $x) (local.set $sum)
          (table.set $kept (i32.const 0) (local.get $x))
          (call $wait (i32.const 5))
          (block $w (result exnref i64)
            (try_table (catch $wrap $w) (throw $wrap (local.get $x) (i64.const 1)))
            (unreachable))
          (local.set $sum (i32.add (i32.wrap_i64) (local.get $sum)))
          (local.set $x)
          (call $wait (i32.const 5))
          (block $again (result i32)
            (try_table (catch $t $again) (throw_ref (local.get $x)))
            (unreachable))
          (i32.add (local.get $sum))
          (block $from_host (result i32)
            (try_table (catch $t $from_host) (call $host (i32.const 3)))
            (unreachable))
          (i32.add)))"#,
    );
    assert_eq!(outcome, Outcome::Finished(vec![Value::I32(40 + 1 + 40 + 3)]));
}

#[test]
fn a_callback_that_throws_can_be_heard_by_the_import() {
    let outcome = check(
        r#"(module (tag $t (param i32))
        (import "host" "call" (func $call (result i32)))
        (func (export "thrower") (throw $t (i32.const 8)))
        (func (export "run") (result i32) (i32.add (call $call) (call $call))))"#,
    );
    assert_eq!(outcome, Outcome::Finished(vec![Value::I32(16)]));
}

#[test]
fn an_uncaught_exception_is_a_trap() {
    let module = load(
        r#"(module (tag $t (param i32 f64))
        (func (export "run") (throw $t (i32.const -1) (f64.const 2.5))))"#,
    );
    let mut tasklet = Tasklet::spawn(&module, host(), invoke()).unwrap();
    let Outcome::Trapped(trap) = tasklet.run(u64::MAX).unwrap() else { panic!("no trap") };
    assert_eq!(trap.kind, TrapKind::UncaughtException);
    assert_eq!(trap.message, "uncaught exception: tag 0 (-1, 2.5)");
}

#[test]
fn imported_state_is_the_tasklets_own() {
    let outcome = check(
        r#"(module
        (import "env" "memory" (memory 1))
        (import "env" "table" (table 3 funcref))
        (import "env" "base" (global $base i32))
        (import "env" "start" (global $count (mut i64)))
        (import "env" "tag" (tag $t (param i32)))
        (data (global.get $base) "\2a")
        (elem (i32.const 1) $f)
        (func $f (result i32) (i32.load8_u (global.get $base)))
        (func (export "run") (result i32 i64) (local $n i32)
          (local.set $n (i32.const 4))
          (loop $l
            (global.set $count (i64.add (global.get $count) (i64.const 1)))
            (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
          (call_indirect (result i32) (i32.const 1))
          (global.get $count)))"#,
    );
    assert_eq!(outcome, Outcome::Finished(vec![Value::I32(42), Value::I64(9)]));
}

#[test]
fn many_memories_of_both_kinds() {
    let outcome = check(
        r#"(module
        (memory $a 1) (memory $b i64 1 4) (memory $c 1) (table $t i64 2 8 funcref)
        (data (memory $c) (i32.const 9) "x")
        (func (export "run") (result i64) (local $i i64)
          (drop (memory.grow $b (i64.const 1)))
          (drop (table.grow $t (ref.null func) (i64.const 2)))
          (loop $l
            (i64.store $b (i64.add (i64.const 65530) (local.get $i)) (local.get $i))
            (i32.store8 $a (i32.wrap_i64 (local.get $i)) (i32.const 1))
            (br_if $l (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1)))
                                (i64.const 9))))
          (i64.add (i64.add (i64.load $b (i64.const 65538)) (table.size $t))
            (i64.extend_i32_u (i32.load8_u $c (i32.const 9))))))"#,
    );
    assert_eq!(outcome, Outcome::Finished(vec![Value::I64(8 + 4 + 120)]));
}

#[test]
fn what_is_missing_is_named() {
    let module = load(r#"(module (import "env" "other" (memory 1)) (func (export "run")))"#);
    let error = Tasklet::spawn(&module, host(), invoke()).unwrap_err();
    let Error::UnknownImport { name, way_out, .. } = &error else { panic!("{error:?}") };
    assert_eq!(name, "other");
    assert!(way_out.contains("HostBuilder::adopt"), "{way_out}");
}
