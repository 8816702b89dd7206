//! Scenarios 10 and 12, and a runner-up: who is stopped when, and who is told of what.

use std::sync::{Arc, Mutex};

use tasklet_engine::{Budget, RunResult, Status, TaskletId, TrapKind, Value};

use crate::World;

/// Three thousand rounds, with and without a yield every fiftieth.
const BUSY: &str = r#"
    (func (export "busy") (local $i i32)
      (loop $l
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3000)))))
    (func (export "polite") (local $i i32)
      (loop $l
        (if (i32.eqz (i32.rem_u (local.get $i) (i32.const 50))) (then (drop (call $yield))))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3000)))))"#;

/// Whatever is handed out is inserted again until nothing is left, in another scheduler each time;
/// how often each was.
fn watchdog(w: &mut World, budget: Budget, ids: &[TaskletId]) -> Vec<usize> {
    let mut stops = vec![0; ids.len()];
    loop {
        match w.sched().run(budget).unwrap() {
            RunResult::Interrupted(id) => {
                let at = ids.iter().position(|of| *of == id).unwrap();
                stops[at] += 1;
                w.insert(id);
                w.move_world();
            }
            // Nobody was interrupted: that is told apart, which Stackless's `None` is not.
            RunResult::Expired => {}
            RunResult::Finished => return stops,
            other => panic!("{other:?}"),
        }
    }
}

/// Three that are busy take turns of 1,000 steps and all end. Those that yield are interrupted less
/// than those that do not; with a soft budget nobody is interrupted at all.
///
/// In Stackless a soft watchdog returns what it would have interrupted once that yields, so that the
/// relation flips. Ours leaves all queued, and returns `Expired`.
#[test]
fn scenario_10_watchdog_fairness() {
    let mut w = World::new(BUSY);
    let ids = [(); 3].map(|()| w.spawn("busy"));
    let stops = watchdog(&mut w, Budget::steps(1000), &ids);
    assert!(stops[0] > 5 && stops.iter().all(|count| count.abs_diff(stops[0]) <= 1), "{stops:?}");
    let ids = [w.spawn("busy"), w.spawn("polite"), w.spawn("busy"), w.spawn("polite")];
    let stops = watchdog(&mut w, Budget::steps(1000), &ids);
    assert_eq!((stops[1], stops[3]), (0, 0), "{stops:?}");
    assert!(stops[0] > 5 && stops[2] > 5, "{stops:?}");
    let ids = [w.spawn("busy"), w.spawn("polite")];
    assert_eq!(watchdog(&mut w, Budget::steps(1000).soft(), &ids), [0, 0]);
    // One total for all: it is over at its end, whoever runs then.
    let ids = [w.spawn("busy"), w.spawn("polite")];
    let before: u64 = 2000;
    let result = w.sched().run(Budget::steps(1000).with_total(before)).unwrap();
    assert_eq!(result, RunResult::Interrupted(ids[0]));
    for id in ids {
        w.sched().kill(id).unwrap();
    }
}

const FAILING: &str = r#"
    (tag $e (param i32))
    (func (export "trap") (unreachable))
    (func (export "throw") (throw $e (i32.const 7)))
    (func (export "fine") (call $say (i32.const 1)))
    (func (export "receiver") (result i64) (call $receive (call $c) (i32.const 64) (i32.const 4)))
    (func (export "sender") (result i32) (call $send (call $c) (i32.const 64) (i32.const 1)))
    (func (export "closer") (call $say (call $close (call $c))))"#;

/// An error that nobody catches comes out of `run` once, naming the tasklet; the others stay queued.
/// A handler is called instead, once for each, and what it does is its own affair.
///
/// Stackless runs the handler in the dying tasklet's context, and its own error goes to main. Ours is
/// a closure of the embedder's outside of all guests.
#[test]
fn scenario_12_error_routing() {
    let mut w = World::new(FAILING);
    for (export, kind) in [("trap", TrapKind::Unreachable), ("throw", TrapKind::UncaughtException)]
    {
        let first = w.spawn("fine");
        let bad = w.spawn(export);
        let last = w.spawn("fine");
        let RunResult::Trapped(id, trap) = w.run() else { panic!("no trap") };
        assert_eq!((id, trap.kind), (bad, kind));
        assert_eq!(w.sched().ready(), [last]);
        assert_eq!(w.sched().end(bad), Some(&Status::Trapped(trap)));
        assert_eq!(w.sched().end(first), Some(&Status::Finished(vec![])));
        assert_eq!(w.run(), RunResult::Finished);
        assert_eq!(w.log(), [1, 1]);
        // The same of one that was dumped before and fails elsewhere.
        let bad = w.spawn_paused(export);
        let copy = w.move_on(bad);
        w.insert(copy);
        let RunResult::Trapped(id, _) = w.run() else { panic!("no trap") };
        assert_eq!(id, copy);
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let handler = seen.clone();
    w.sched().on_trap(move |id, trap| handler.lock().unwrap().push((id, trap.kind)));
    let bad = w.spawn("trap");
    w.spawn("fine");
    let worse = w.spawn("throw");
    assert_eq!(w.run(), RunResult::Finished);
    let expected = [(bad, TrapKind::Unreachable), (worse, TrapKind::UncaughtException)];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(w.log(), [1]);
}

/// Stackless raises "Deadlock" in whoever waits last. Nobody is to blame for it here: all who wait
/// are named, stay where they are, and go on if somebody comes.
#[test]
fn scenario_12_deadlocks() {
    let mut w = World::new(FAILING);
    let receivers = [w.spawn("receiver"), w.spawn("receiver")];
    assert_eq!(w.run(), RunResult::Deadlock(receivers.to_vec()));
    assert_eq!(w.run(), RunResult::Deadlock(receivers.to_vec()), "it is told again");
    // The last that runs ends, and those who wait are told of.
    w.spawn("fine");
    assert_eq!(w.run(), RunResult::Deadlock(receivers.to_vec()));
    assert_eq!(w.log(), [1]);
    let sender = w.spawn("sender");
    assert_eq!(w.run(), RunResult::Deadlock(vec![receivers[1]]));
    assert_eq!(w.sched().end(sender), Some(&Status::Finished(vec![Value::I32(0)])));
    assert_eq!(w.sched().end(receivers[0]), Some(&Status::Finished(vec![Value::I64(1)])));
    // The way out that Stackless has not: closing wakes who waits.
    const CLOSED: i64 = -1;
    w.spawn("closer");
    assert_eq!(w.run(), RunResult::Finished);
    assert_eq!(w.sched().end(receivers[1]), Some(&Status::Finished(vec![Value::I64(CLOSED)])));
    w.log();
}

/// Runner-up, a real bug of theirs: a run right behind a load has a result like any other.
#[test]
fn scenario_17_run_returns_right_behind_a_load() {
    let mut w = World::new(BUSY);
    let id = w.spawn("busy");
    assert_eq!(w.sched().run(Budget::steps(100)).unwrap(), RunResult::Interrupted(id));
    let copy = w.move_on(id);
    assert_eq!(w.run(), RunResult::Idle, "it is paused");
    w.insert(copy);
    assert_eq!(w.sched().run(Budget::steps(100)).unwrap(), RunResult::Interrupted(copy));
    w.insert(copy);
    assert_eq!(w.run(), RunResult::Finished);
    assert_eq!(w.run(), RunResult::Idle);
}
