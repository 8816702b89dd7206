//! Steps are exactly wasmtime's fuel, in programs made to catch a counter out.
//!
//! Charges are merged over control-equivalent blocks, over calls and over branches; each case here
//! is a shape in which a wrong merge shows. All run through the whole oracle besides.

use anyhow::{Context, ensure};
use tasklet_engine::{Entry, FunctionType, Outcome, Tasklet, ValType, Value};
use tasklet_tests::oracle::{self, Effort, Plan, Subject};
use tasklet_tests::parallel::for_all;
use tasklet_tests::plain::{Ending, Seen};
use tasklet_tests::world::{Import, Setup, World};

const EFFORT: Effort = Effort {
    every_stop_max: 3_000,
    single_steps_max: 3_000_000,
    stops: 100,
    pauses: 30,
    places: 5,
};

/// A name, the body of a module that exports `run`, and the arguments to call it with.
type Case = (&'static str, &'static str, &'static [&'static [i32]]);

/// Control flow.
const CONTROL: &[Case] = &[
    // A real bug of the prototype: with a `continue` in between, a block that dominates another
    // and is post-dominated by it in the same loop still runs more often.
    (
        "continue",
        r#"(func (export "run") (param $n i32) (result i32) (local $i i32) (local $s i32)
        (loop $again
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $again (i32.rem_u (local.get $i) (i32.const 3)))
          (local.set $s (i32.add (local.get $s) (local.get $i)))
          (br_if $again (i32.lt_s (local.get $i) (local.get $n))))
        (local.get $s))"#,
        &[&[0], &[1], &[30], &[300]],
    ),
    (
        "continue of the outer loop",
        r#"
      (func (export "run") (param $n i32) (result i32) (local $i i32) (local $j i32)
        (block $out (loop $outer
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $out (i32.gt_s (local.get $i) (local.get $n)))
          (local.set $j (local.get $i))
          (loop $inner
            (br_if $outer (i32.eqz (local.get $j)))
            (local.set $j (i32.shr_u (local.get $j) (i32.const 1)))
            (br_if $inner (i32.and (local.get $j) (i32.const 1)))
            (br_if $outer (i32.and (local.get $j) (i32.const 4)))
            (br $inner))))
        (local.get $i))"#,
        &[&[0], &[5], &[50]],
    ),
    (
        "diamonds",
        r#"(func (export "run") (param $n i32) (result i32) (local $s i32)
        (loop $again
          (if (i32.and (local.get $n) (i32.const 1))
            (then (local.set $s (i32.add (local.get $s) (i32.const 1))))
            (else
              (if (i32.and (local.get $n) (i32.const 2))
                (then (local.set $s (i32.mul (i32.add (local.get $s) (i32.const 2)) (i32.const 3)))
                      (nop))
                (else (nop)))))
          (if (i32.and (local.get $n) (i32.const 4)) (then (local.set $s (local.get $n))))
          (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $s))"#,
        &[&[1], &[2], &[64]],
    ),
    (
        "early returns",
        r#"
      (func $f (param $n i32) (result i32)
        (if (i32.lt_s (local.get $n) (i32.const 2)) (then (return (i32.const 1))))
        (block $b
          (br_if $b (i32.eq (local.get $n) (i32.const 7)))
          (if (i32.rem_u (local.get $n) (i32.const 5))
            (then (return (i32.add (call $f (i32.sub (local.get $n) (i32.const 1)))
                                   (call $f (i32.sub (local.get $n) (i32.const 2))))))))
        (loop $l (if (i32.gt_s (local.get $n) (i32.const 100)) (then (return (i32.const 9))))
          (local.set $n (i32.add (local.get $n) (local.get $n))) (br $l))
        (unreachable))
      (func (export "run") (param i32) (result i32) (call $f (local.get 0)))"#,
        &[&[0], &[7], &[9]],
    ),
    (
        "dead code",
        r#"(func (export "run") (param i32) (result i32)
        (block $a (result i32)
          (loop $l (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
          (br $a (i32.const 5))
          (loop (br 0)) (unreachable) (drop (i32.const 4)))
        (if (then (return (i32.const 1)) (drop (i32.const 4))) (else (nop)))
        (i32.const 2))"#,
        &[&[1], &[9]],
    ),
    (
        "values through blocks",
        r#"
      (func (export "run") (param $n i32) (result i64) (local $i i32)
        (i64.const 1) (i32.const 0)
        (loop $l (param i64 i32) (result i64)
          (local.set $i)
          (i64.const 3) (i64.mul)
          (i32.add (local.get $i) (i32.const 1))
          (br_if $l (i32.lt_s (local.get $i) (local.get $n)))
          (drop)))"#,
        &[&[0], &[1], &[40]],
    ),
    (
        "a switch in a loop",
        r#"
      (func (export "run") (param $n i32) (result i32) (local $s i32)
        (block $out (loop $l
          (local.set $n (i32.sub (local.get $n) (i32.const 1)))
          (block $c (block $b (block $a
            (br_table $a $b $l $c $out $l (i32.and (local.get $n) (i32.const 7))))
            (local.set $s (i32.add (local.get $s) (i32.const 1))) (br $l))
            (local.set $s (i32.add (local.get $s) (i32.const 10))))
          (local.set $s (i32.add (local.get $s) (i32.const 100)))
          (br_if $l (local.get $n))))
        (local.get $s))"#,
        &[&[8], &[16], &[300]],
    ),
];

/// Calls.
const CALLS: &[Case] = &[
    (
        "calls in tail position",
        r#"
      (func $even (param i32) (result i32)
        (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 1))
          (else (call $odd (i32.sub (local.get 0) (i32.const 1))))))
      (func $odd (param i32) (result i32)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
        (return (call $even (i32.sub (local.get 0) (i32.const 1)))))
      (func (export "run") (param i32) (result i32) (call $even (local.get 0)))"#,
        &[&[0], &[1], &[200]],
    ),
    (
        "small leaves",
        r#"
      (func $leaf (param i32) (result i32) (i32.add (local.get 0) (i32.const 3)))
      (func $branchy (param i32) (result i32)
        (if (result i32) (i32.and (local.get 0) (i32.const 1))
          (then (call $leaf (call $leaf (local.get 0)))) (else (local.get 0))))
      (func (export "run") (param $n i32) (result i32) (local $s i32)
        (loop $l
          (local.set $s (i32.add (call $leaf (local.get $s)) (call $branchy (local.get $n))))
          (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $s))"#,
        &[&[1], &[100]],
    ),
    (
        "calls through a table",
        r#"
      (type $t (func (param i32) (result i32))) (table 3 funcref) (elem (i32.const 0) $a $b $c)
      (func $a (type $t) (i32.add (local.get 0) (i32.const 1)))
      (func $b (type $t) (local.get 0) (loop $l (param i32) (result i32)
        (i32.shr_u (i32.const 1)) (local.tee 0) (local.get 0) (br_if $l)))
      (func $c (type $t) (call_indirect (type $t) (local.get 0) (i32.const 1)))
      (func (export "run") (param $n i32) (result i32) (local $s i32)
        (loop $l
          (local.set $s (i32.add (local.get $s) (call_indirect (type $t) (local.get $n)
            (i32.rem_u (local.get $n) (i32.const 3)))))
          (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $s))"#,
        &[&[1], &[50]],
    ),
    (
        "imports in between",
        r#"
      (import "env" "f" (func $f (param i32) (result i32)))
      (memory 1)
      (func $g (param i32) (result i32) (call $f (call $f (local.get 0))))
      (func (export "run") (param $n i32) (result i32) (local $s i32)
        (loop $l
          (if (i32.and (call $f (local.get $n)) (i32.const 1))
            (then (local.set $s (i32.add (local.get $s) (call $g (local.get $n))))))
          (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (call $f (local.get $s)))"#,
        &[&[1], &[60]],
    ),
    (
        "the start function and the initializer",
        r#"
      (global $g (mut i32) (i32.const 3))
      (func $start (loop $l (br_if $l (i32.rem_u (global.get $g) (i32.const 5))
        (global.set $g (i32.add (global.get $g) (i32.const 1))))))
      (start $start)
      (func (export "_initialize") (global.set $g (i32.mul (global.get $g) (i32.const 7))))
      (func (export "run") (param i32) (result i32) (i32.add (local.get 0) (global.get $g)))"#,
        &[&[1]],
    ),
];

/// Operations whose price depends on their operands. A failing `table.grow` of 2^32 - 1 elements
/// costs as many steps, far more than the fuel of a slice can express.
const BULK: &[Case] = &[
    (
        "memory",
        r#"(memory 2 3) (data $d "0123456789abcdef0123456789abcdef")
      (func (export "run") (param $n i32) (result i32) (local $i i32)
        (memory.fill (i32.const 100) (i32.const 7) (i32.const 1000))
        (loop $l
          (memory.fill (i32.const 9) (local.get $i) (local.get $i))
          (memory.copy (i32.const 5000) (i32.const 3) (i32.mul (local.get $i) (i32.const 9)))
          (memory.init $d (i32.const 70) (i32.const 0) (i32.rem_u (local.get $i) (i32.const 32)))
          (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1)))
            (local.get $n))))
        (data.drop $d)
        (memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))
        (i32.add (memory.grow (i32.const 1)) (memory.grow (i32.const 1))))"#,
        &[&[1], &[100]],
    ),
    (
        "tables",
        r#"(table $a 10 2000 funcref) (table $b 5 funcref)
      (elem $e func $f $f $f) (elem declare func $f) (func $f)
      (func (export "run") (param $n i32) (result i32) (local $i i32)
        (loop $l
          (drop (table.grow $a (ref.func $f) (local.get $i)))
          (table.fill $a (i32.const 1) (ref.null func) (local.get $i))
          (table.copy $b $a (i32.const 0) (i32.const 0) (i32.rem_u (local.get $i) (i32.const 5)))
          (table.init $b $e (i32.const 0) (i32.const 1) (i32.rem_u (local.get $i) (i32.const 3)))
          (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1)))
            (local.get $n))))
        (elem.drop $e)
        (table.init $b $e (i32.const 0) (i32.const 0) (i32.const 0))
        (table.size $a))"#,
        &[&[1], &[20]],
    ),
    (
        "growing that fails",
        r#"(table $t 1 10 funcref) (memory 1 2)
      (func $fail (param $by i32) (result i32)
        (i32.add (table.grow $t (ref.null func) (local.get $by)) (memory.grow (local.get $by))))
      (func (export "run") (param $by i32) (result i32) (local $i i32) (local $s i32)
        (loop $l
          (local.set $s (i32.add (local.get $s) (call $fail (local.get $by))))
          (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1)))
            (i32.const 5))))
        (i32.add (local.get $s) (table.grow $t (ref.null func) (i32.const -1))))"#,
        &[&[1000], &[0x3fff_ffff], &[i32::MAX], &[i32::MIN], &[-2], &[-1]],
    ),
    (
        "much memory",
        r#"(memory 260)
      (func (export "run") (param $n i32) (result i32)
        (memory.fill (i32.const 5) (i32.const 1) (i32.const 17000000))
        (memory.copy (i32.const 9) (i32.const 5) (local.get $n))
        (i32.load (i32.const 7)))"#,
        &[&[0], &[16_000_000]],
    ),
];

/// What costs too much and traps: nothing is promised of the count, but the rest must hold.
const TRAPS: &[Case] = &[(
    "lengths that trap",
    r#"(memory 1) (table $t 3 funcref) (data $d "abc")
      (func (export "run") (param $which i32) (param $n i32) (result i32)
        (block $d (block $c (block $b (block $a
          (br_table $a $b $c $d (local.get $which)))
          (memory.fill (i32.const 0) (i32.const 1) (local.get $n)))
          (memory.copy (i32.const 0) (i32.const 1) (local.get $n)))
          (table.fill $t (i32.const 0) (ref.null func) (local.get $n)))
        (memory.init $d (i32.const 0) (i32.const 0) (local.get $n))
        (i32.const 1))"#,
    &[
        &[0, -1],
        &[0, i32::MAX],
        &[0, i32::MIN],
        &[1, -1],
        &[2, -1],
        &[2, i32::MIN],
        &[3, -1],
        &[3, 65536],
    ],
)];

fn subject(wat: &str, args: &[i32]) -> anyhow::Result<Subject> {
    let wasm = wat::parse_str(format!("(module {wat})"))?;
    let args = args.iter().map(|arg| Value::I32(*arg)).collect();
    let f = FunctionType { params: vec![ValType::I32], results: vec![ValType::I32] };
    let import = Import { module: "env".into(), name: "f".into(), ty: f };
    let setup = Setup { imports: vec![import], ..Setup::default() };
    let entry = Entry::Invoke { name: "run".into(), args };
    Subject::new(&wasm, setup, entry)?.context("it can be instantiated")
}

fn check_all(cases: &[Case], returns: bool) {
    let check = |&(_, wat, calls): &Case| -> anyhow::Result<()> {
        for args in calls {
            let subject = subject(wat, args)?;
            let plain = subject.run_plain()?;
            let returned = matches!(plain.ending, Ending::Returned(_));
            ensure!(returned == returns, "{args:?}: {:?}", plain.ending);
            oracle::check(&subject, &EFFORT, 3).with_context(|| format!("{args:?}"))?;
        }
        Ok(())
    };
    for_all(cases, |case| case.0.to_string(), check);
}

#[test]
fn control_flow() {
    check_all(CONTROL, true);
}

#[test]
fn calls() {
    check_all(CALLS, true);
}

#[test]
fn bulk_operations() {
    check_all(BULK, true);
}

#[test]
fn lengths_that_trap() {
    check_all(TRAPS, false);
}

#[test]
fn tables_of_many_branches() {
    let targets: String = (0..500).map(|target| format!("{} ", target % 40)).collect();
    let opens = "(block ".repeat(40);
    let closes: String = (0..40)
        .map(|n| format!(") (global.set $g (i32.add (global.get $g) (i32.const {n})))"))
        .collect();
    let wat = format!(
        r#"(global $g (mut i32) (i32.const 0))
        (func (export "run") (param $n i32) (result i32)
          (loop $l {opens} (br_table {targets} (local.get $n)) {closes}
            (br_if $l (i32.ge_s (local.tee $n (i32.sub (local.get $n) (i32.const 37)))
              (i32.const 0))))
          (global.get $g))"#
    );
    for n in [0, 39, 499, 5000] {
        let subject = subject(&wat, &[n]).unwrap();
        oracle::check(&subject, &EFFORT, 4).unwrap();
    }
}

/// Symptom: a program trapped in code it never reached. Cause: fills of constant length were charged
/// in full ahead, so that one path without a check took the fuel below the sentinels, and the next
/// function took itself for being rebuilt. Now only short lengths are charged ahead; the rest is
/// paid when it comes, and what the fuel cannot express goes on the debt.
#[test]
fn many_fills_of_constant_length() {
    let fill = "(memory.fill (i32.const 0) (i32.const 0) (i32.const 65536))";
    let wat = format!(
        r#"(memory 1)
          (func $spin (result i32) (local $i i32)
            (loop $again (br_if $again (i32.lt_u
              (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
            (local.get $i))
          (func (export "run") (param i32) (result i32)
            (if (local.get 0) (then {}))
            (call $spin))"#,
        fill.repeat(33_000)
    );
    let subject = subject(&wat, &[1]).expect("the module is valid");
    let plain = subject.run_plain().unwrap();
    assert_eq!(plain.ending, Ending::Returned(vec![Seen::from(&Value::I32(10))]));
    for budget in [u64::MAX, 100_000_000, 2_147_483_647] {
        let mut tasklet =
            Tasklet::spawn(&subject.module, tasklet_engine::Host::empty(), subject.entry.clone())
                .unwrap();
        let outcome = loop {
            match tasklet.run(budget).unwrap() {
                Outcome::OutOfBudget => {}
                outcome => break outcome,
            }
        };
        assert_eq!(outcome, Outcome::Finished(vec![Value::I32(10)]), "budget {budget}");
        assert_eq!(Some(tasklet.steps_used().unwrap()), plain.steps, "budget {budget}");
    }
}

/// Leaves below and above the bound up to which a function gets no check of its own.
#[test]
fn leaves_around_the_bound_without_checks() {
    for length in [1, 60, 120, 126, 127, 128, 129, 130, 300] {
        let body = "(local.set 0 (i32.add (local.get 0) (i32.const 1)))".repeat(length / 4 + 1);
        let wat = format!(
            r#"(func $leaf (param i32) (result i32) {body} (local.get 0))
            (func $twice (param i32) (result i32) (call $leaf (call $leaf (local.get 0))))
            (func (export "run") (param i32) (result i32) (local $i i32)
              (loop $l (local.set 0 (call $twice (local.get 0)))
                (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                  (i32.const 9))))
              (call $leaf (local.get 0)))"#
        );
        oracle::check(&subject(&wat, &[1]).unwrap(), &EFFORT, 5).unwrap();
    }
}

/// `proc_exit` does not return, so what comes after it in the frames below must not be counted,
/// though it may have been charged already: charges are merged over calls.
#[test]
fn exiting_deep_in_a_recursion() {
    let wasm = wat::parse_str(
        r#"(module
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          (func $down (param $n i32) (result i32) (local $i i32)
            (if (i32.eqz (local.get $n)) (then (call $exit (i32.const 42)) (unreachable)))
            (local.set $i (i32.and (local.get $n) (i32.const 7)))
            (loop $l (br_if $l (i32.gt_s (local.tee $i (i32.sub (local.get $i) (i32.const 1)))
              (i32.const 0))))
            (i32.add (call $down (i32.sub (local.get $n) (i32.const 1)))
              (i32.mul (i32.const 3) (i32.add (local.get $n) (i32.const 5)))))
          (func (export "_start") (drop (call $down (i32.const 60))) (nop)
            (drop (i32.add (i32.const 1) (i32.const 2)))))"#,
    )
    .unwrap();
    let setup = Setup { wasi: true, ..Setup::default() };
    let subject = Subject::new(&wasm, setup, Entry::Command).unwrap().unwrap();
    assert_eq!(subject.run_plain().unwrap().ending, Ending::Exited(42));
    oracle::check(&subject, &EFFORT, 6).unwrap();
}

/// An endless loop is stopped by any budget, and what was granted is accounted for to the unit.
#[test]
fn endless_loops() {
    let wat = r#"(func (export "run") (param i32) (result i32)
        (loop $l (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br $l)) (local.get 0))"#;
    let subject = subject(wat, &[0]).unwrap();
    let world = World::new(&Setup::default()).unwrap();
    let mut tasklet = Tasklet::spawn(&subject.module, world.host(), subject.entry.clone()).unwrap();
    let mut granted = 0u64;
    for budget in [0, 1, 1, 2, 3, 5, 1000, 1_000_000, 0, 30_000_000, 7] {
        assert_eq!(tasklet.run(budget).unwrap(), Outcome::OutOfBudget);
        granted += budget;
        let (used, balance) = (tasklet.steps_used().unwrap(), tasklet.balance().unwrap());
        assert_eq!(used as i64 + balance, granted as i64);
        // No path between two checks is longer than this loop.
        assert!((-10..10).contains(&balance), "{balance}");
    }
}

/// Budgets nobody will ever use up behave as the unlimited one.
#[test]
fn huge_budgets() {
    let (_, wat, _) = CONTROL[0];
    let subject = subject(wat, &[100]).unwrap();
    let plain = subject.run_plain().unwrap();
    for budget in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 1 << 62, 1 << 40] {
        let run = subject.run(Plan::fixed(budget, true)).unwrap();
        oracle::same(&format!("a budget of {budget}"), &plain, &run.end.unwrap()).unwrap();
    }
}

/// An oracle that never objects proves nothing: one instruction more, or one result, is noticed.
#[test]
fn the_oracle_objects() {
    let wat = |end: &str| {
        format!(
            r#"(func (export "run") (param i32) (result i32)
              (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) {end})"#
        )
    };
    let expected = subject(&wat("(i32.const 7)"), &[9]).unwrap().run_plain().unwrap();
    let objection = |end: &str| {
        let other = subject(&wat(end), &[9]).unwrap();
        oracle::check_against(&other, expected.clone(), &EFFORT, 1).map_err(|e| e.to_string())
    };
    assert!(objection("(i32.const 7)").is_ok());
    assert!(objection("(i32.const 8)").unwrap_err().contains("endings"));
    assert!(objection("(drop (i32.const 1)) (i32.const 7)").unwrap_err().contains("steps"));
}
