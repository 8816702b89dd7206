//! More than one call on the same instance.

mod common;

use common::{invoke, module, reload};
use tasklet_engine::{Entry, ErrorKind, Host, Outcome, SnapshotOptions, Status, Tasklet, Value};

/// `start` and `_initialize` leave their mark; `add` counts, in a loop of as many steps as it adds.
const COUNTER: &str = r#"(module
    (memory (export "memory") 1)
    (global $count (export "count") (mut i32) (i32.const 0))
    (global (export "limit") i64 (i64.const 77))
    (func $start (global.set $count (i32.const 100)))
    (func (export "_initialize") (global.set $count (i32.add (global.get $count) (i32.const 1000))))
    (func $add (export "add") (param $n i32) (result i32)
      (if (local.get $n) (then
        (loop $next
          (global.set $count (i32.add (global.get $count) (i32.const 1)))
          (local.set $n (i32.sub (local.get $n) (i32.const 1)))
          (br_if $next (local.get $n)))))
      (i32.store (i32.const 8) (global.get $count))
      (global.get $count))
    (func (export "stored") (result i32) (i32.load (i32.const 8)))
    (func (export "trap") (global.set $count (i32.const -1)) unreachable)
    (start $start))"#;

fn counter() -> Tasklet {
    let mut tasklet = Tasklet::spawn(&module(COUNTER), Host::empty(), Entry::Start).unwrap();
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(vec![]));
    tasklet
}

fn finish(tasklet: &mut Tasklet, name: &str, args: &[Value]) -> Outcome {
    tasklet.call(name, args.to_vec()).unwrap();
    tasklet.run(u64::MAX).unwrap()
}

fn returned(value: i32) -> Outcome {
    Outcome::Finished(vec![Value::I32(value)])
}

#[test]
fn calls_follow_one_another_on_one_instance() {
    let mut tasklet = counter();
    assert_eq!(tasklet.global("count").unwrap(), Some(Value::I32(1100)));
    assert_eq!(finish(&mut tasklet, "add", &[Value::I32(5)]), returned(1105));
    let after_one = tasklet.steps_used().unwrap();
    // What ran before the first call does not run again.
    assert_eq!(finish(&mut tasklet, "add", &[Value::I32(5)]), returned(1110));
    let after_two = tasklet.steps_used().unwrap();
    assert_eq!(finish(&mut tasklet, "stored", &[]), returned(1110));
    assert_eq!(tasklet.run(1).unwrap(), returned(1110), "an ended call has ended");
    assert_eq!(finish(&mut tasklet, "add", &[Value::I32(5)]), returned(1115));

    // Equal calls take equal steps, which are those of a tasklet that makes but one of them.
    let start = counter().steps_used().unwrap();
    assert_eq!(after_two - after_one, after_one - start);
    let mut once =
        Tasklet::spawn(&module(COUNTER), Host::empty(), invoke("add", &[Value::I32(5)])).unwrap();
    assert_eq!(once.run(u64::MAX).unwrap(), returned(1105));
    assert_eq!(once.steps_used().unwrap(), after_one);
    assert_eq!(finish(&mut once, "add", &[Value::I32(0)]), returned(1105));
}

#[test]
fn a_later_call_can_be_written_down_anywhere() {
    let mut straight = counter();
    let first = finish(&mut straight, "add", &[Value::I32(3)]);
    let second = finish(&mut straight, "add", &[Value::I32(50)]);
    assert_eq!((first, second.clone()), (returned(1103), returned(1153)));
    let steps = straight.steps_used().unwrap();

    let mut tasklet = counter();
    finish(&mut tasklet, "add", &[Value::I32(3)]);
    tasklet.call("add", vec![Value::I32(50)]).unwrap();
    let mut pauses = 0;
    let outcome = loop {
        tasklet = reload(&mut tasklet, Host::empty());
        match tasklet.run(7).unwrap() {
            Outcome::OutOfBudget => pauses += 1,
            outcome => break outcome,
        }
        let snapshot = tasklet.snapshot(&SnapshotOptions::default()).unwrap();
        assert_eq!(snapshot.entry.export, "add");
        assert_eq!(
            snapshot.entry.args,
            [tasklet_engine::snapshot::Value::I32(50)],
            "the call being made, not the first"
        );
    };
    assert!(pauses > 50, "{pauses} pauses");
    assert_eq!(outcome, second);
    assert_eq!(tasklet.steps_used().unwrap(), steps);
    // A tasklet that was loaded after its end can be called too.
    let mut tasklet = reload(&mut tasklet, Host::empty());
    assert_eq!(finish(&mut tasklet, "stored", &[]), returned(1153));
    assert_eq!(finish(&mut tasklet, "add", &[Value::I32(1)]), returned(1154));
}

#[test]
fn a_trap_leaves_the_instance_as_it_is() {
    let mut tasklet = counter();
    assert!(matches!(finish(&mut tasklet, "trap", &[]), Outcome::Trapped(_)));
    assert_eq!(tasklet.global("count").unwrap(), Some(Value::I32(-1)));
    let before = tasklet.steps_used().unwrap();
    assert_eq!(finish(&mut tasklet, "add", &[Value::I32(0)]), returned(-1));
    let first = tasklet.steps_used().unwrap() - before;
    assert_eq!(finish(&mut tasklet, "add", &[Value::I32(0)]), returned(-1));
    assert_eq!(tasklet.steps_used().unwrap() - before, 2 * first);
}

#[test]
fn calls_that_cannot_be_are_refused() {
    let kind = |result: Result<(), tasklet_engine::Error>| result.unwrap_err().kind();
    let mut tasklet = Tasklet::spawn(&module(COUNTER), Host::empty(), Entry::Start).unwrap();
    assert_eq!(kind(tasklet.call("stored", vec![])), ErrorKind::Usage, "its start is to come");
    tasklet.run(u64::MAX).unwrap();
    assert_eq!(kind(tasklet.call("nobody", vec![])), ErrorKind::Usage);
    assert_eq!(kind(tasklet.call("add", vec![])), ErrorKind::Usage);
    assert_eq!(kind(tasklet.call("tasklet.run", vec![])), ErrorKind::Usage);
    assert_eq!(*tasklet.status(), Status::Finished(vec![]), "a refusal changes nothing");
    tasklet.call("add", vec![Value::I32(9)]).unwrap();
    assert_eq!(tasklet.run(1).unwrap(), Outcome::OutOfBudget);
    assert_eq!(kind(tasklet.call("stored", vec![])), ErrorKind::Usage);
    assert_eq!(tasklet.run(u64::MAX).unwrap(), returned(1109));
}

#[test]
fn a_module_without_start_waits_for_its_first_call() {
    let module = module(r#"(module (func (export "two") (result i32) (i32.const 2)))"#);
    let mut tasklet = Tasklet::spawn(&module, Host::empty(), Entry::Start).unwrap();
    assert_eq!(*tasklet.status(), Status::Finished(vec![]));
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(vec![]));
    assert_eq!(finish(&mut tasklet, "two", &[]), returned(2));
}

#[test]
fn exported_globals_can_be_read() {
    let mut tasklet = counter();
    assert_eq!(tasklet.global("limit").unwrap(), Some(Value::I64(77)));
    assert_eq!(tasklet.global("add").unwrap(), None, "a function");
    assert_eq!(tasklet.global("nobody").unwrap(), None);
    assert_eq!(tasklet.global("tasklet.fuel").unwrap(), None, "not the guest's");
}
