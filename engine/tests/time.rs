//! Sleeping, and waits with a timeout: in virtual time, in the host's, and across dumps.

mod common;

use std::time::{Duration, Instant};

use common::guests::World;
use tasklet_engine::{
    Budget, ChannelOptions, Clock, Engine, EngineOptions, Error, Message, MonotonicClock,
    RunResult, Scheduler, TaskletId, VirtualClock,
};

/// The argument is a number of nanoseconds, and a byte by which it is known.
const GUESTS: &str = r#"
    (func $ns (result i64)
      (drop (call $argument (i32.const 128) (i32.const 9)))
      (i64.load (i32.const 128)))
    (func (export "naps") (local $i i32)
      (loop $l
        (if (call $sleep (call $ns)) (then unreachable))
        (call $say (i32.load8_u (i32.const 136)))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3)))))
    (func (export "receives")
      (call $log (call $receive_timeout (call $c) (i32.const 64) (i32.const 8) (call $ns)))
      (call $first)
      (call $say (i32.load8_u (i32.const 136))))
    (func (export "sends") (local $ns i64)
      (local.set $ns (call $ns))
      (call $say (call $send_timeout (call $c) (i32.const 136) (i32.const 1) (local.get $ns)))
      (call $say (i32.load8_u (i32.const 136))))
    (func (export "forever") (loop $l (br $l)))
"#;

fn world(clock: impl Clock + 'static) -> World {
    let mut w = World::new(GUESTS);
    w.sched.channel("talk", ChannelOptions::default()).unwrap();
    w.sched.set_clock(clock);
    w
}

fn spawn(w: &mut World, export: &str, ns: u64, name: u8) -> TaskletId {
    let channel = w.sched.find_channel("talk").unwrap();
    let argument = [&ns.to_le_bytes()[..], &[name]].concat();
    let spawn = w.of(export).channel("c", channel).argument(&argument);
    w.sched.spawn(&w.module, spawn).unwrap()
}

#[test]
fn time_comes_in_order_however_often_all_are_moved() {
    // 30 60 90, 50 100 150, 70 140 210.
    let expected = [1, 2, 1, 3, 1, 2, 3, 2, 3];
    let budgets = [Budget::unlimited(), Budget::steps(1), Budget::steps(7), Budget::total(40)];
    for budget in budgets {
        let mut w = world(VirtualClock::default());
        for (ns, name) in [(70, 3), (50, 2), (30, 1)] {
            spawn(&mut w, "naps", ns, name);
        }
        let (result, log) = w.run_moved(budget);
        assert_eq!((result, log.as_slice()), (RunResult::Finished, &expected[..]), "{budget:?}");
    }
}

#[test]
fn time_goes_on_in_another_scheduler() {
    // 30 60 90, 50 100 150, 70 140 210, and one that waits 45.
    let expected = [1, -7, 0, 4, 2, 1, 3, 1, 2, 3, 2, 3];
    for budget in [1, 5, 9].map(Budget::steps) {
        let mut w = world(VirtualClock::default());
        spawn(&mut w, "receives", 45, 4);
        for (ns, name) in [(70, 3), (50, 2), (30, 1)] {
            spawn(&mut w, "naps", ns, name);
        }
        let mut moves = 0;
        while let RunResult::Interrupted(id) = w.sched.run(budget).unwrap() {
            w.sched.insert(id).unwrap();
            w.move_elsewhere();
            moves += 1;
        }
        assert_eq!(w.log.take(), expected, "{budget:?}, moved {moves} times");
        assert!(moves > 0 && w.sched.tasklets().is_empty(), "{moves}");
    }
}

#[test]
fn a_copy_of_one_that_sleeps_sleeps_as_long() {
    let mut w = world(VirtualClock::default());
    let id = spawn(&mut w, "naps", 100, 1);
    let forever = spawn(&mut w, "forever", 0, 0);
    assert_eq!(w.sched.run(Budget::total(200)).unwrap(), RunResult::Interrupted(forever));
    let copy = w.sched.fork_with(id, w.log.host()).unwrap();
    assert!(w.sched.flags(copy).waiting && w.sched.flags(id).waiting);
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [1; 6]);
}

#[test]
fn of_those_due_at_once_the_first_come_is_first() {
    let mut w = world(VirtualClock::default());
    let [a, b, c] = [1, 2, 3].map(|name| spawn(&mut w, "naps", 1_000, name));
    let forever = spawn(&mut w, "forever", 0, 0);
    assert_eq!(w.sched.run(Budget::total(400)).unwrap(), RunResult::Interrupted(forever));
    assert!([a, b, c].iter().all(|id| w.sched.flags(*id).waiting));
    w.sched.kill(forever).unwrap();
    w.move_all();
    assert_eq!(w.sched.next_due_ns(), Some(1_000));
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [1, 2, 3, 1, 2, 3, 1, 2, 3]);
}

#[test]
fn what_does_not_come_in_time_is_told() {
    for budget in [Budget::unlimited(), Budget::steps(1)] {
        let mut w = world(VirtualClock::default());
        spawn(&mut w, "receives", 500, 1);
        assert_eq!(w.run_moved(budget), (RunResult::Finished, vec![-7, 0, 1]));
        spawn(&mut w, "sends", 500, 2);
        assert_eq!(w.run_moved(budget), (RunResult::Finished, vec![-7, 2]));
        let channel = w.sched.find_channel("talk").unwrap();
        assert_eq!(w.sched.balance(channel).unwrap(), 0);
        // In time.
        spawn(&mut w, "receives", 500, 3);
        spawn(&mut w, "sends", 500, 4);
        let (result, mut log) = w.run_moved(budget);
        log.sort_unstable();
        assert_eq!((result, log), (RunResult::Finished, vec![0, 1, 3, 4, 4]));
        // Who does not want to wait at all is told at once.
        spawn(&mut w, "sends", 0, 5);
        assert_eq!(w.run_moved(budget), (RunResult::Finished, vec![-7, 5]));
    }
}

#[test]
fn what_is_left_of_a_wait_is_in_the_snapshot() {
    let mut w = world(VirtualClock::default());
    let long = spawn(&mut w, "receives", 9_000, 1);
    spawn(&mut w, "naps", 1_500, 2);
    let forever = w.sched.spawn(&w.module, w.of("forever").paused()).unwrap();
    // Ends where the second nap begins: virtual time has gone on as far as the first.
    let mut budget = 50;
    while w.log.take().is_empty() {
        w.sched.run(Budget::total(budget)).unwrap();
        budget = 1;
    }
    let bytes = w.sched.dump(long).unwrap();
    for id in w.sched.tasklets() {
        w.sched.kill(id).unwrap();
    }
    assert!(w.sched.end(forever).is_none());
    let options = tasklet_engine::LoadOptions::default().host(w.log.host());
    let copy = w.sched.load_with(&bytes, options).unwrap();
    w.sched.insert(copy).unwrap();
    assert_eq!(w.sched.next_due_ns(), Some(7_500));
}

#[test]
fn one_that_sleeps_is_not_inserted_but_can_be_paused() {
    let mut w = world(MonotonicClock::default());
    let id = spawn(&mut w, "naps", 60_000_000_000, 1);
    let RunResult::Waiting { tasklets, next_ns } = w.sched.run(Budget::unlimited()).unwrap() else {
        panic!("it must wait")
    };
    assert_eq!(tasklets, [id]);
    assert!(next_ns.is_some_and(|ns| ns > 50_000_000_000 && ns <= 60_000_000_000), "{next_ns:?}");
    let refused = w.sched.insert(id).unwrap_err();
    assert!(matches!(refused, Error::CannotSchedule { verb: "insert", .. }), "{refused}");
    w.sched.remove(id).unwrap();
    assert_eq!((w.sched.flags(id).paused, w.sched.next_due_ns()), (true, None));
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Idle);
    // Paused, no time passes for it; inserted, it sleeps for what was left.
    w.sched.insert(id).unwrap();
    assert!(w.sched.flags(id).waiting);
    assert!(w.sched.next_due_ns().is_some_and(|ns| ns > 50_000_000_000));
    // In virtual time it is done at once.
    w.sched.set_clock(VirtualClock::default());
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [1, 1, 1]);
}

#[test]
fn the_hosts_time_passes_whether_one_waits_inside_or_out() {
    const NAP: Duration = Duration::from_millis(15);
    let mut w = world(MonotonicClock::default());
    let begun = Instant::now();
    spawn(&mut w, "naps", NAP.as_nanos() as u64, 1);
    assert_eq!(w.sched.run(Budget::unlimited().blocking()).unwrap(), RunResult::Finished);
    assert!(begun.elapsed() >= 3 * NAP);
    assert_eq!(w.log.take(), [1, 1, 1]);
    let begun = Instant::now();
    spawn(&mut w, "naps", NAP.as_nanos() as u64, 2);
    while let RunResult::Waiting { next_ns, .. } = w.sched.run(Budget::unlimited()).unwrap() {
        std::thread::sleep(Duration::from_nanos(next_ns.expect("it sleeps")));
        // It is loaded elsewhere, and waits for what was left.
        w.move_all();
    }
    assert!(begun.elapsed() >= 3 * NAP);
    assert_eq!(w.log.take(), [2, 2, 2]);
}

/// Two runs of a deterministic engine's scheduler are the same, for its time is virtual.
#[test]
fn a_deterministic_engines_time_is_virtual() {
    let mut options = EngineOptions::default();
    options.cache = tasklet_engine::CacheMode::Off;
    options.deterministic = true;
    let engine = Engine::new(&options).unwrap();
    let mut w = World::new(GUESTS);
    let wasm = wat::parse_str(format!("(module {} {GUESTS})", common::guests::PRELUDE)).unwrap();
    w.module = tasklet_engine::Module::load(&engine, &wasm).unwrap();
    w.sched = Scheduler::new(&engine);
    w.sched.channel("talk", ChannelOptions::default()).unwrap();
    spawn(&mut w, "naps", u64::MAX / 2, 1);
    spawn(&mut w, "naps", 1, 2);
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [2, 2, 2, 1, 1, 1]);
}

#[test]
fn a_sender_outside_comes_in_time() {
    let mut w = world(MonotonicClock::default());
    let channel = w.sched.find_channel("talk").unwrap();
    let id = spawn(&mut w, "receives", 60_000_000_000, 1);
    assert!(matches!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Waiting { .. }));
    assert!(w.sched.flags(id).blocked);
    w.sched.try_send(channel, Message::Data(vec![9])).unwrap();
    assert_eq!(w.sched.next_due_ns(), None);
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [1, 9, 1]);
}
