//! Runs within runs: a tasklet that has others run.

mod common;

use common::guests::World;
use tasklet_engine::{Budget, ChannelOptions, RunResult, TaskletId};

const GUESTS: &str = r#"
    (data (i32.const 512) "child") (data (i32.const 520) "fails") (data (i32.const 528) "inner")
    (func $begin (param $entry i32)
      (drop (call $spawn (local.get $entry) (i32.const 5) (i32.const 0) (i32.const 0))))
    ;; Runs the others until none is left; says how often one was interrupted.
    (func $watch (param $steps i64) (local $cuts i32) (local $r i64)
      (loop $l
        (local.set $r (call $run (local.get $steps)))
        (if (i64.lt_s (local.get $r) (i64.const 0))
          (then (call $log (local.get $r)) (call $why) (br $l)))
        (if (i64.gt_s (local.get $r) (i64.const 0))
          (then (local.set $cuts (i32.add (local.get $cuts) (i32.const 1))) (br $l))))
      (call $say (i32.gt_s (local.get $cuts) (i32.const 0))))
    (func (export "child") (drop (call $count (i32.const 100))) (call $say (i32.const 7)))
    (func (export "fails") (drop (call $count (i32.const 20))) unreachable)
    (func (export "main")
      (call $begin (i32.const 512)) (call $begin (i32.const 512))
      (call $watch (i64.const 0))
      (call $say (i32.const 100)))
    (func (export "sliced")
      (call $begin (i32.const 512)) (call $begin (i32.const 512))
      (call $watch (i64.const 90))
      (call $say (i32.const 100)))
    (func (export "guards")
      (call $begin (i32.const 520)) (call $begin (i32.const 512))
      (call $watch (i64.const 0))
      (call $say (i32.const 100)))
    (func (export "inner")
      (call $begin (i32.const 520)) (call $begin (i32.const 512))
      (call $watch (i64.const 0))
      (call $say (i32.const 50)))
    (func (export "outer")
      (call $begin (i32.const 528))
      (call $watch (i64.const 0))
      (call $say (i32.const 100)))
    (func (export "waits") (drop (call $receive (call $c) (i32.const 64) (i32.const 8))))
    (func (export "naps") (drop (call $sleep (i64.const 500))) (call $say (i32.const 9)))
    (func (export "alone") (call $watch (i64.const 0)) (call $say (i32.const 100)))
"#;

fn world() -> World {
    let mut w = World::new(GUESTS);
    w.sched.channel("talk", ChannelOptions::default()).unwrap();
    w.sched.set_clock(tasklet_engine::VirtualClock::default());
    let log = w.log.clone();
    w.sched.child_host(move |_| log.host());
    w
}

fn spawn(w: &mut World, export: &str) -> TaskletId {
    let channel = w.sched.find_channel("talk").unwrap();
    let spawn = w.of(export).channel("c", channel);
    w.sched.spawn(&w.module, spawn).unwrap()
}

#[test]
fn the_one_that_watches_wakes_when_nothing_else_is_ready() {
    for budget in [Budget::unlimited(), Budget::steps(1), Budget::steps(64), Budget::total(30)] {
        let mut w = world();
        spawn(&mut w, "main");
        let done = (RunResult::Finished, vec![7, 7, 0, 100]);
        assert_eq!(w.run_moved(budget), done, "{budget:?}");
        // Others that wait on channels are not waited for, others that sleep are.
        let waits = spawn(&mut w, "waits");
        spawn(&mut w, "naps");
        spawn(&mut w, "alone");
        let (result, log) = w.run_moved(budget);
        assert_eq!(log, [9, 0, 100], "{budget:?}");
        assert!(matches!(result, RunResult::Deadlock(ids) if ids.len() == 1));
        let _ = waits;
    }
}

#[test]
fn those_that_watch_do_in_another_scheduler() {
    let unreachable = i64::from(b'u');
    for budget in [1, 7, 40].map(Budget::steps) {
        let mut w = world();
        spawn(&mut w, "outer");
        let mut moves = 0;
        while let RunResult::Interrupted(id) = w.sched.run(budget).unwrap() {
            w.sched.insert(id).unwrap();
            w.move_elsewhere();
            moves += 1;
        }
        assert_eq!(w.log.take(), [-8, unreachable, 7, 0, 50, 0, 100], "{budget:?}");
        assert!(moves > 10 && w.sched.tasklets().is_empty());
    }
}

#[test]
fn its_steps_count_if_no_outer_limit_does() {
    let mut w = world();
    spawn(&mut w, "sliced");
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [7, 7, 1, 100]);
    // The run's own limit is the outermost.
    let mut w = world();
    spawn(&mut w, "sliced");
    assert_eq!(w.sched.run(Budget::steps(1_000_000)).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [7, 7, 0, 100]);
}

#[test]
fn an_error_goes_to_the_innermost() {
    let unreachable = i64::from(b'u');
    for budget in [Budget::unlimited(), Budget::steps(1)] {
        let mut w = world();
        spawn(&mut w, "guards");
        let guarded = (RunResult::Finished, vec![-8, unreachable, 7, 0, 100]);
        assert_eq!(w.run_moved(budget), guarded, "{budget:?}");
        spawn(&mut w, "outer");
        let nested = (RunResult::Finished, vec![-8, unreachable, 7, 0, 50, 0, 100]);
        assert_eq!(w.run_moved(budget), nested, "{budget:?}");
    }
    // A handler is told first, and a run that nobody watches returns.
    let mut w = world();
    spawn(&mut w, "fails");
    assert!(matches!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Trapped(..)));
    w.sched.on_trap(|_, _| {});
    spawn(&mut w, "guards");
    assert_eq!(w.run_moved(Budget::unlimited()), (RunResult::Finished, vec![7, 0, 100]));
}

#[test]
fn one_that_watches_can_be_paused_killed_and_dumped() {
    let mut w = world();
    let id = spawn(&mut w, "main");
    let RunResult::Interrupted(child) = w.sched.run(Budget::total(200)).unwrap() else {
        panic!("a child counts")
    };
    assert_ne!(child, id);
    assert!(w.sched.flags(id).waiting);
    assert!(w.sched.insert(id).is_err());
    let bytes = w.sched.dump(id).unwrap();
    w.sched.remove(id).unwrap();
    assert!(w.sched.flags(id).paused);
    w.sched.insert(id).unwrap();
    assert!(w.sched.flags(id).waiting);
    w.sched.kill(id).unwrap();
    let options = tasklet_engine::LoadOptions::default().host(w.log.host());
    let copy = w.sched.load_with(&bytes, options).unwrap();
    w.sched.insert(copy).unwrap();
    w.sched.insert(child).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [7, 7, 0, 100]);
}
