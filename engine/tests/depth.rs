//! Recursion is bounded by memory: it goes deeper than any native stack, and where a guest's own
//! limit ends it follows from the program alone.

mod common;

use common::{invoke, module, reload};
use tasklet_engine::{
    BACKTRACE_LINES_MAX, Digest, Engine, EngineOptions, Entry, Host, HostError, Limits, Module,
    Outcome, SnapshotOptions, Status, Tasklet, Trap, TrapKind, Value,
};

/// `deep(n)` is n, by n calls. `endless` never ends, `even` and `odd` call one another, `table`
/// calls itself through a table.
const DEEP: &str = r#"(module
  (type $down (func (param i32) (result i32)))
  (table 1 funcref) (elem (i32.const 0) $table)
  (func $deep (export "deep") (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 0))
      (else (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))))
  (func $even (export "even") (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 1))
      (else (i32.xor (local.get 0) (i32.xor (local.get 0)
        (call $odd (i32.sub (local.get 0) (i32.const 1))))))))
  (func $odd (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 0))
      (else (i32.and (i32.const 1) (call $even (i32.sub (local.get 0) (i32.const 1)))))))
  (func $table (export "table") (type $down)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 0))
      (else (i32.add (i32.const 1) (call_indirect (type $down)
        (i32.sub (local.get 0) (i32.const 1)) (i32.const 0))))))
  (func $ackermann (export "ackermann") (param i32 i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.add (local.get 1) (i32.const 1)))
      (else (if (result i32) (i32.eqz (local.get 1))
        (then (call $ackermann (i32.sub (local.get 0) (i32.const 1)) (i32.const 1)))
        (else (call $ackermann (i32.sub (local.get 0) (i32.const 1))
          (call $ackermann (local.get 0) (i32.sub (local.get 1) (i32.const 1)))))))))
  (func $endless (export "endless") (param i32) (result i32)
    (i32.add (local.get 0) (call $endless (i32.add (local.get 0) (i32.const 1))))))"#;

fn call(name: &str, args: &[i32]) -> Entry {
    invoke(name, &args.iter().map(|arg| Value::I32(*arg)).collect::<Vec<_>>())
}

fn limited(bytes: u64) -> Host {
    let mut limits = Limits::default();
    limits.stack_bytes = bytes;
    Host::builder().limits(limits).build()
}

fn run(module: &Module, entry: &Entry) -> Outcome {
    let mut tasklet = Tasklet::spawn(module, Host::empty(), entry.clone()).unwrap();
    tasklet.run(u64::MAX).unwrap()
}

fn with_native_stack(wat: &str, stack_bytes: usize) -> Module {
    let mut options = common::options();
    options.stack_bytes = stack_bytes;
    Module::load(&Engine::new(&options).unwrap(), &wat::parse_str(wat).unwrap()).unwrap()
}

#[test]
fn recursion_of_millions_of_levels_returns() {
    let module = module(DEEP);
    for (name, levels, result) in [
        ("deep", 5_000_000, 5_000_000),
        ("even", 3_000_000, 1),
        ("even", 3_000_001, 0),
        ("table", 3_000_000, 3_000_000),
    ] {
        let found = run(&module, &call(name, &[levels]));
        assert_eq!(found, Outcome::Finished(vec![Value::I32(result)]), "{name}({levels})");
    }
    // The same on a native stack that holds but some thousand levels.
    let small = with_native_stack(DEEP, 1 << 20);
    let found = run(&small, &call("deep", &[1_000_000]));
    assert_eq!(found, Outcome::Finished(vec![Value::I32(1_000_000)]));
}

#[test]
fn ackermann_goes_up_and_down() {
    for module in [module(DEEP), with_native_stack(DEEP, 1 << 20)] {
        let found = run(&module, &call("ackermann", &[3, 9]));
        assert_eq!(found, Outcome::Finished(vec![Value::I32(4093)]));
        let mut tasklet =
            Tasklet::spawn(&module, Host::empty(), call("ackermann", &[2, 2000])).unwrap();
        while tasklet.run(30_000_001).unwrap() == Outcome::OutOfBudget {
            tasklet = reload(&mut tasklet, Host::empty());
        }
        assert_eq!(tasklet.status(), &Status::Finished(vec![Value::I32(4003)]));
    }
}

/// What an endless recursion ends with: the trap, the steps, and the balance of a run without end.
fn exhausted(module: &Module, limit: u64, budget: u64, moves: bool) -> (Trap, u64) {
    let mut tasklet = Tasklet::spawn(module, limited(limit), call("endless", &[0])).unwrap();
    loop {
        match tasklet.run(budget).unwrap() {
            Outcome::OutOfBudget if moves => tasklet = reload(&mut tasklet, limited(limit)),
            Outcome::OutOfBudget => {}
            Outcome::Trapped(trap) => return (trap, tasklet.steps_used().unwrap()),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn endless_recursion_ends_at_the_same_step_however_it_is_run() {
    const DEPTH_STEPS: u64 = 1 << 22;
    let module = module(DEEP);
    for limit in [0, 16 << 20] {
        let expected = exhausted(&module, limit, u64::MAX, false);
        let (trap, steps) = &expected;
        assert_eq!(trap.kind, TrapKind::StackOverflow);
        assert!(trap.message.ends_with(&format!("exceed the limit of {limit}")), "{trap}");
        assert_eq!(trap.backtrace.len(), BACKTRACE_LINES_MAX);
        // What frames have paid in advance is not counted as used.
        assert!(*steps < limit / 8 + 2 * DEPTH_STEPS, "{steps}");
        for budget in [7, 1000, DEPTH_STEPS - 1, DEPTH_STEPS, DEPTH_STEPS + 1] {
            if budget == 7 && limit > 0 {
                continue;
            }
            assert_eq!(exhausted(&module, limit, budget, false), expected, "budget {budget}");
        }
        let moved = exhausted(&module, limit, DEPTH_STEPS / 3 + 1, true);
        assert_eq!(moved, expected);
        // The native stack has no say in it.
        for stack_bytes in [256 << 10, 5 << 20] {
            let other = with_native_stack(DEEP, stack_bytes);
            assert_eq!(exhausted(&other, limit, u64::MAX, false), expected, "{stack_bytes}");
        }
    }
}

#[test]
fn the_default_limit_ends_an_endless_recursion_too() {
    let mut tasklet = Tasklet::spawn(&module(DEEP), Host::empty(), call("endless", &[0])).unwrap();
    let Outcome::Trapped(trap) = tasklet.run(u64::MAX).unwrap() else { panic!("it is endless") };
    assert_eq!(trap.kind, TrapKind::StackOverflow);
    assert_eq!(trap.backtrace.len(), BACKTRACE_LINES_MAX);
    // The outermost frame is where the entry made its call.
    assert_ne!(trap.backtrace[BACKTRACE_LINES_MAX - 1].offset, trap.backtrace[0].offset);
    let again = reload(&mut tasklet, Host::empty()).run(1).unwrap();
    assert_eq!(again, Outcome::Trapped(trap));
}

#[test]
fn the_highest_limit_fits_into_the_frame_memory() {
    let mut tasklet =
        Tasklet::spawn(&module(DEEP), limited(u64::MAX), call("endless", &[0])).unwrap();
    let Outcome::Trapped(trap) = tasklet.run(u64::MAX).unwrap() else { panic!("it is endless") };
    assert!(trap.message.ends_with("exceed the limit of 671088640"), "{trap}");
}

#[test]
fn a_million_frames_can_be_written_down_and_read() {
    let module = module(DEEP);
    let mut tasklet = Tasklet::spawn(&module, Host::empty(), call("deep", &[1_000_000])).unwrap();
    assert_eq!(tasklet.run(8_500_000).unwrap(), Outcome::OutOfBudget);
    let frames = tasklet.backtrace().unwrap().len();
    assert!(frames > 700_000, "{frames}");
    let mut again = reload(&mut tasklet, Host::empty());
    assert_eq!(again.backtrace().unwrap().len(), frames);
    assert_eq!(again.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(1_000_000)]));
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(1_000_000)]));
    assert_eq!(tasklet.steps_used().unwrap(), again.steps_used().unwrap());
}

/// Functions whose native frames are as large as can be for the steps they take.
fn extremes() -> Vec<(&'static str, String)> {
    let many = |text: &str, count: usize| text.repeat(count);
    let numbered =
        |count: usize, line: &dyn Fn(usize) -> String| -> String { (0..count).map(line).collect() };
    let locals = numbered(400, &|n| {
        format!("(local.set {} (i64.load offset={} (local.get 0)))", n + 1, n * 8)
    });
    let sums =
        numbered(400, &|n| format!("(local.set 1 (i64.add (local.get 1) (local.get {})))", n + 1));
    let vectors = numbered(100, &|n| {
        format!("(local.set {} (v128.load offset={} (local.get 0)))", n + 1, n * 16)
    });
    let vector_sums = numbered(100, &|n| {
        format!("(local.set 1 (i64x2.add (local.get 1) (local.get {})))", n + 1)
    });
    let params = numbered(998, &|n| format!("(local.get {})", n + 1));
    vec![
        (
            "live values",
            format!(
                r#"(module (memory 1) (func $f (export "f") (param i32) (result i64) (local {})
                  {locals} (local.set 1 (i64.add (local.get 1)
                    (call $f (i32.and (i32.add (local.get 0) (i32.const 1)) (i32.const 255)))))
                  {sums} (local.get 1)))"#,
                many("i64 ", 400)
            ),
        ),
        (
            "vectors",
            format!(
                r#"(module (memory 1) (func $f (export "f") (param i32) (result v128) (local {})
                  {vectors} (local.set 1 (i64x2.add (local.get 1)
                    (call $f (i32.and (i32.add (local.get 0) (i32.const 1)) (i32.const 255)))))
                  {vector_sums} (local.get 1)))"#,
                many("v128 ", 100)
            ),
        ),
        (
            "parameters",
            format!(
                r#"(module (func $f (export "f") (param i32 {}) (result i64)
                  (i64.add (local.get 500) (call $f (i32.add (local.get 0) (i32.const 1)) {params}))))"#,
                many("i64 ", 998)
            ),
        ),
        (
            "results",
            format!(
                r#"(module (func $f (export "f") (param i32) (result {})
                  (call $f (i32.add (local.get 0) (i32.const 1))) (drop) (i64.const 1)))"#,
                many("i64 ", 900)
            ),
        ),
        (
            "few steps",
            r#"(module (func $f (export "f") (param i32) (result i32) (i32.eqz (call $f (local.get 0)))))"#.into(),
        ),
        (
            "a large frame on the way",
            format!(
                r#"(module (memory 1)
                  (func $f (export "f") (param i32) (result i32) (i32.eqz (call $g (local.get 0))))
                  (func $g (param i32) (result i32) (local {})
                    (if (i32.load (i32.const 65500)) (then
                      {locals} (local.set 1 (i64.extend_i32_u (call $f (local.get 0))))
                      {sums} (i64.store (i32.const 8) (local.get 1))))
                    (i32.add (i32.const 1) (call $f (local.get 0)))))"#,
                many("i64 ", 400)
            ),
        ),
    ]
}

#[test]
fn the_native_stack_holds_what_is_built_between_two_cuts() {
    for (name, wat) in extremes() {
        for stack_bytes in [1 << 20, 8 << 20, EngineOptions::default().stack_bytes] {
            let module = with_native_stack(&wat, stack_bytes);
            let (_, ty) = module.exports().next().unwrap();
            let args = ty.params.iter().map(|ty| Value::zero(*ty)).collect();
            let entry = Entry::Invoke { name: "f".into(), args };
            let mut tasklet = Tasklet::spawn(&module, limited(4 << 20), entry).unwrap();
            let outcome = tasklet.run(u64::MAX).unwrap();
            let Outcome::Trapped(trap) = outcome else { panic!("{name} is endless") };
            // Else the native stack, or the frame memory, was full before.
            let ours = trap.message.ends_with("exceed the limit of 4194304");
            assert!(ours, "{name} on {stack_bytes} bytes: {}", trap.message);
        }
    }
}

#[test]
fn a_recursion_that_returns_what_it_is_given_ends_too() {
    // Such calls need no frame but where they come back to themselves.
    for wat in [
        r#"(module (func $f (export "f") (result i32) (call $f)))"#,
        r#"(module (func $f (export "f") (call $g)) (func $g (call $f)))"#,
    ] {
        let mut tasklet = Tasklet::spawn(&module(wat), limited(1024), call("f", &[])).unwrap();
        let Outcome::Trapped(trap) = tasklet.run(100_000_000).unwrap() else { panic!("{wat}") };
        assert_eq!(trap.kind, TrapKind::StackOverflow);
    }
    // A tail call is another matter: it gives its frame up.
    let wat = r#"(module (func $f (export "f") (return_call $f)))"#;
    let mut tasklet = Tasklet::spawn(&module(wat), limited(1024), call("f", &[])).unwrap();
    assert_eq!(tasklet.run(100_000_000).unwrap(), Outcome::OutOfBudget);
    assert_eq!(tasklet.backtrace().unwrap().len(), 1);
}

#[test]
fn callbacks_are_bounded_by_the_native_stack_alone() {
    let wat = r#"(module (import "host" "again" (func $again (param i32) (result i32)))
      (func (export "down") (param i32) (result i32)
        (if (result i32) (local.get 0)
          (then (i32.add (i32.const 1) (call $again (i32.sub (local.get 0) (i32.const 1)))))
          (else (i32.const 0)))))"#;
    let module = with_native_stack(wat, 2 << 20);
    let host = || {
        let i32s = [tasklet_engine::ValType::I32];
        Host::builder()
            .func("host", "again", &i32s, &i32s, |ctx, args| {
                ctx.call_export("down", args).map_err(|_| HostError::new("not that deep"))
            })
            .build()
    };
    let mut tasklet = Tasklet::spawn(&module, host(), call("down", &[300])).unwrap();
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(300)]));
    let mut tasklet = Tasklet::spawn(&module, host(), call("down", &[1_000_000])).unwrap();
    let Outcome::Trapped(trap) = tasklet.run(u64::MAX).unwrap() else { panic!("it is too deep") };
    assert_eq!(trap.kind, TrapKind::StackOverflow);
    assert!(trap.message.contains("calls back into the guest"), "{trap}");
    assert!(trap.message.contains("`host::again`"), "{trap}");
}

#[test]
fn a_forged_count_of_steps_runs_out_of_cuts_and_not_of_time() {
    let module = module(DEEP);
    let mut tasklet = Tasklet::spawn(&module, Host::empty(), call("deep", &[100_000])).unwrap();
    tasklet.run(1000).unwrap();
    let mut forged = tasklet.snapshot(&SnapshotOptions::default()).unwrap();
    for below in [0, 1, 100, 1 << 20, 1 << 22, 1 << 23] {
        forged.steps_used = u64::MAX - below;
        let loaded = Tasklet::load(&module, &forged, Digest([0; 32]), Host::empty());
        // Either there are no such counts, or it goes on.
        let Ok(mut loaded) = loaded else { continue };
        assert_eq!(loaded.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(100_000)]));
    }
}

/// Symptom: a recursion that did much on its way back ended with a tenth of its steps, and could
/// return other values. Cause: nothing is checked while calls return into one another, so that the
/// fuel fell below the sentinels, and a callee seemed to have unwound. Now what the fuel cannot
/// express goes on the debt.
#[test]
fn much_work_on_the_way_back_is_counted() {
    let work = "(drop (i32.const 0))".repeat(100_000);
    let wat = format!(
        r#"(module
        (func $f (param i32) (result i32)
          (if (i32.eqz (local.get 0)) (then (return (i32.const 1))))
          (call $f (i32.sub (local.get 0) (i32.const 1)))
          {work}
          (return (i32.add (local.get 0))))
        (func (export "run") (result i32) (call $f (i32.const 25_000))))"#
    );
    let module = module(&wat);
    let mut tasklet = Tasklet::spawn(&module, Host::empty(), call("run", &[])).unwrap();
    assert_eq!(
        tasklet.run(u64::MAX).unwrap(),
        Outcome::Finished(vec![Value::I32(1 + 25_000 * 25_001 / 2)])
    );
    assert_eq!(tasklet.steps_used().unwrap(), 25_000 * (100_000 + 10) + 5 + 3);
}

#[test]
fn recursion_by_calls_of_both_kinds_ends() {
    let wat = r#"(module (func $a (export "f") (call $b)) (func $b (return_call $a)))"#;
    let mut tasklet = Tasklet::spawn(&module(wat), limited(1024), call("f", &[])).unwrap();
    let Outcome::Trapped(trap) = tasklet.run(100_000_000).unwrap() else { panic!("no end") };
    assert_eq!(trap.kind, TrapKind::StackOverflow);
}
