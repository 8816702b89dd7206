//! Scenario 13: tasklets that have others run, within one another.

use tasklet_engine::{Budget, RunResult, Status, TaskletId};

use crate::World;

/// Each spawns one or two, has them run to their ends, and tells what became of it. `run` returns
/// 0 if nothing is left, the number of one that was interrupted, or a refusal.
const WATCHERS: &str = r#"
    (data (i32.const 512) "child") (data (i32.const 520) "fails") (data (i32.const 528) "inner")
    (func $begin (param $entry i32)
      (drop (call $spawn (local.get $entry) (i32.const 5) (i32.const 0) (i32.const 0))))
    (func $watch (param $steps i64) (param $name i32) (local $r i64)
      (loop $l
        (local.set $r (call $run (local.get $steps)))
        ;; 1000 and its name if one was interrupted, 2000 and its name for an error.
        (if (i64.gt_s (local.get $r) (i64.const 0))
          (then (call $say (i32.add (i32.const 1000) (local.get $name))) (br $l)))
        (if (i64.lt_s (local.get $r) (i64.const 0))
          (then (call $say (i32.add (i32.const 2000) (local.get $name))) (call $why) (br $l))))
      (call $say (local.get $name)))
    (func (export "child") (drop (call $count (i32.const 100))) (call $say (i32.const 7)))
    (func (export "fails") (drop (call $count (i32.const 20))) unreachable)
    (func (export "waits")
      (call $log (call $receive (call $c) (i32.const 64) (i32.const 8))))
    (func (export "inner")
      (call $begin (i32.const 512)) (call $watch (i64.const 0) (i32.const 50)))
    (func (export "outer")
      (call $begin (i32.const 528)) (call $watch (i64.const 0) (i32.const 60)))
    (func (export "timed")
      (call $begin (i32.const 528)) (call $watch (i64.const 400) (i32.const 70)))
    (func (export "guard")
      (call $begin (i32.const 520)) (call $begin (i32.const 512))
      (call $watch (i64.const 0) (i32.const 80)))
    (func (export "outermost")
      (drop (call $spawn (i32.const 536) (i32.const 5) (i32.const 0) (i32.const 0)))
      (call $watch (i64.const 0) (i32.const 90)))
    (data (i32.const 536) "guard")"#;

fn world() -> World {
    let mut w = World::new(WATCHERS).set_up(|w| {
        let log = w.inner.log.clone();
        w.sched().child_host(move |_| log.host());
    });
    // The hook has it, too.
    w.holders += 1;
    w
}

/// Runs to the end; at each stop all are moved to another scheduler.
fn moved(w: &mut World, budget: Budget) -> Vec<i64> {
    loop {
        match w.sched().run(budget).unwrap() {
            RunResult::Interrupted(id) => {
                w.insert(id);
                w.move_world();
            }
            RunResult::Expired => w.move_world(),
            RunResult::Finished => return w.log(),
            other => panic!("{other:?}"),
        }
    }
}

/// The innermost completes first and wakes its watcher; an error goes to the innermost that watches
/// whom it befell, and to nobody else. The outermost limit is the one that counts. Whoever watches
/// can be woken by hand, killed and moved, and is in no list afterwards.
///
/// Stackless's watchdogs are calls of `run` on one stack of the thread; ours are tasklets that wait,
/// so that they can be dumped like others, in the middle of it.
#[test]
fn scenario_13_nested_watchdogs() {
    const UNREACHABLE: i64 = b'u' as i64;
    for budget in [Budget::unlimited(), Budget::steps(1), Budget::steps(64), Budget::total(50)] {
        let mut w = world();
        w.spawn("outer");
        assert_eq!(moved(&mut w, budget), [7, 50, 60], "{budget:?}");
        w.assert_is_empty();
        w.spawn("guard");
        assert_eq!(moved(&mut w, budget), [2080, UNREACHABLE, 7, 80], "{budget:?}");
        w.spawn("outermost");
        assert_eq!(moved(&mut w, budget), [2080, UNREACHABLE, 7, 80, 90], "{budget:?}");
        w.assert_is_empty();
    }
    // The limit of the outer watcher, which is told of each cut, however often that is.
    let mut w = world();
    w.spawn("timed");
    let told = moved(&mut w, Budget::unlimited());
    let (cuts, rest): (Vec<i64>, Vec<i64>) = told.iter().partition(|&&said| said == 1070);
    assert_eq!(rest, [7, 50, 70]);
    assert!(!cuts.is_empty(), "{told:?}");
    // The run's own is the outermost of all: then nobody else is told.
    w.spawn("timed");
    assert_eq!(moved(&mut w, Budget::steps(100_000)), [7, 50, 70]);
}

/// Woken by hand, in both orders: by an error that is thrown, and by being taken out of the wait.
#[test]
fn scenario_13_waking_watchers_by_hand() {
    let mut w = world();
    let watching = |w: &mut World| -> [TaskletId; 3] {
        let outer = w.spawn("outer");
        let RunResult::Interrupted(child) = w.sched().run(Budget::total(250)).unwrap() else {
            panic!("the child counts")
        };
        let ids = w.sched().tasklets();
        let inner = ids.into_iter().find(|id| ![outer, child].contains(id)).unwrap();
        assert!(w.sched().flags(outer).waiting && w.sched().flags(inner).waiting);
        assert!(w.sched().flags(child).paused);
        [outer, inner, child]
    };
    let [outer, inner, child] = watching(&mut w);
    w.insert(child);
    w.sched().throw(outer, b"wake", false).unwrap();
    assert_eq!(w.sched().ready(), [outer, child]);
    assert_eq!(w.run(), RunResult::Finished);
    // It watches again, later than the other, and so wakes before it.
    assert_eq!(w.log(), [2060, i64::from(b'w'), 7, 60, 50]);
    for id in [outer, inner, child] {
        assert_eq!(w.sched().end(id), Some(&Status::Finished(vec![])));
    }
    // Removed it is paused, and inserted it watches again. The dead watch nobody.
    let [outer, inner, child] = watching(&mut w);
    w.sched().remove(inner).unwrap();
    assert!(w.sched().flags(inner).paused);
    w.sched().kill(outer).unwrap();
    w.insert(child);
    assert_eq!(w.run(), RunResult::Finished);
    assert_eq!(w.log(), [7]);
    w.insert(inner);
    assert_eq!(w.run(), RunResult::Finished);
    assert_eq!(w.log(), [50]);
}
