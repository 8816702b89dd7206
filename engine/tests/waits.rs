//! Whole schedulers of tasklets that wait in every way there is: for time, with a timeout, for others
//! that they run, for host imports, with an error that has been thrown.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use common::guests::World;
use tasklet_engine::snapshot::HostValue;
use tasklet_engine::snapshot::set;
use tasklet_engine::{
    Budget, ChannelOptions, MonotonicClock, RunResult, Scheduler, SetOptions, SnapshotOptions,
    TaskletId, VirtualClock,
};

/// The argument is a number, of nanoseconds or steps, and a byte by which a guest is known.
const GUESTS: &str = r#"
    (data (i32.const 8) "d")
    (data (i32.const 512) "naps")
    (func $d (result i32) (call $channel (i32.const 8) (i32.const 1)))
    (func $ns (result i64)
      (drop (call $argument (i32.const 128) (i32.const 9)))
      (i64.load (i32.const 128)))
    (func $name (call $say (i32.load8_u (i32.const 136))))
    (func (export "naps") (local $i i32)
      (loop $l
        (call $say (call $sleep (call $ns)))
        (call $name)
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3)))))
    (func (export "waits-c") (local $i i32)
      (loop $l
        (call $log (call $receive_timeout (call $c) (i32.const 64) (i32.const 8) (call $ns)))
        (call $name)
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 2)))))
    (func (export "waits-d")
      (call $log (call $receive_timeout (call $d) (i32.const 64) (i32.const 8) (call $ns)))
      (call $name))
    (func (export "sends-d")
      (drop (call $sleep (call $ns)))
      (call $say (call $send_timeout (call $d) (i32.const 136) (i32.const 1) (call $ns)))
      (call $name))
    (func (export "runs") (local $i i32) (local $r i64)
      (call $log (call $spawn (i32.const 512) (i32.const 4) (i32.const 128) (i32.const 9)))
      (loop $l
        (call $log (local.tee $r (call $run (call $ns))))
        (if (i64.eq (local.get $r) (i64.const -8)) (then (call $why)))
        (call $name)
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 6)))))
    (func (export "forks") (local $child i64)
      (local.set $child (call $fork))
      (call $log (local.get $child))
      (call $say (call $sleep (call $ns)))
      (call $log (call $id)) (call $name))
    (func (export "refuses")
      (call $say (call $block_trap (i32.const 1)))
      (call $log (call $receive_timeout (call $d) (i32.const 64) (i32.const 8) (call $ns)))
      (call $say (call $sleep (call $ns)))
      (drop (call $count (i32.const 9)))
      (call $say (call $block_trap (i32.const 0)))
      (call $say (call $sleep (call $ns)))
      (call $name))
    (func (export "fails") (drop (call $sleep (call $ns))) (call $name) unreachable)
    (func (export "works") (drop (call $count (i32.const 60))) (call $name))
    (func (export "forever") (loop $l (br $l)))
"#;

fn spawn(w: &mut World, export: &str, ns: u64, name: u8) -> TaskletId {
    let [c, d] = ["talk", "sequences"].map(|name| w.sched.find_channel(name).unwrap());
    let argument = [&ns.to_le_bytes()[..], &[name]].concat();
    let spawn = w.of(export).channel("c", c).channel("d", d).argument(&argument);
    w.sched.spawn(&w.module, spawn).unwrap()
}

fn world() -> World {
    let mut w = World::new(GUESTS);
    for name in ["talk", "sequences"] {
        w.sched.channel(name, ChannelOptions::default()).unwrap();
    }
    w.sched.set_clock(VirtualClock::default());
    let log = w.log.clone();
    w.sched.child_host(move |_| log.host());
    w
}

fn dump(sched: &mut Scheduler) -> Vec<u8> {
    let mut bytes = Vec::new();
    sched.dump_all(&mut bytes, &SnapshotOptions::default()).unwrap();
    bytes
}

/// All go on in another scheduler, which would write what was read.
fn reload(w: &mut World) {
    let bytes = dump(&mut w.sched);
    assert!(dump(&mut w.sched) == bytes, "what is written twice is the same");
    w.move_elsewhere();
    assert!(dump(&mut w.sched) == bytes, "what was loaded makes the same set");
}

/// What was said in which order, what the runs returned but for stops, and how many of these.
fn all_at_once(budget: Budget, moves: bool) -> (Vec<i64>, Vec<RunResult>, u64) {
    let mut w = world();
    let guests = [
        ("waits-c", 100, 1),
        ("waits-d", 100, 2),
        ("naps", 100, 3),
        ("runs", 50, 4),
        ("sends-d", 40, 5),
        ("forks", 100, 6),
        ("refuses", 60, 7),
        ("works", 0, 8),
        ("runs", 0, 9),
        ("fails", 100, 10),
        ("waits-c", 200, 11),
        ("naps", 50, 12),
    ];
    let ids = guests.map(|(export, ns, name)| spawn(&mut w, export, ns, name));
    let (mut said, mut results) = (Vec::new(), Vec::new());
    for stop in 1_u64.. {
        let result = w.sched.run(budget).unwrap();
        said.extend(w.log.take());
        // Errors are thrown, and block traps set, whatever these do at that time.
        if stop % 7 == 0 {
            let id = ids[(stop / 7) as usize % ids.len()];
            said.push(i64::from(w.sched.throw(id, b"!", stop % 2 == 0).is_ok()));
        }
        if stop % 31 == 0 {
            let id = ids[(stop / 31) as usize % ids.len()];
            said.push(i64::from(w.sched.set_block_trap(id, stop % 62 == 0).is_ok()));
        }
        if stop == 100 {
            let copy = w.sched.fork_with(ids[2], w.log.host());
            said.push(copy.map_or(-1, |id| id.number() as i64));
        }
        if moves {
            reload(&mut w);
        }
        match result {
            RunResult::Interrupted(id) if w.sched.flags(id).paused => {
                w.sched.insert(id).unwrap();
            }
            RunResult::Interrupted(_) | RunResult::Expired => {}
            RunResult::Trapped(..) => results.push(result),
            other => {
                results.push(other);
                return (said, results, stop);
            }
        }
    }
    unreachable!()
}

#[test]
fn whatever_they_wait_for_they_go_on_as_without() {
    let budgets = [Budget::steps(1), Budget::steps(6), Budget::total(30)];
    let rounds = [2, 9].map(|steps| Budget::steps(steps).round_robin().with_total(steps * 5));
    let soft = [Budget::total(10).soft(), Budget::unlimited()];
    for budget in budgets.into_iter().chain(rounds).chain(soft) {
        let (said, results, stops) = all_at_once(budget, false);
        assert!(said.len() > 60 && stops > 0, "{budget:?}: {said:?}");
        let moved = all_at_once(budget, true);
        assert_eq!(moved, (said, results, stops), "{budget:?}");
    }
}

/// Of waits that end at the same time the first to begin is the first to end, whatever they are for.
#[test]
fn of_those_due_at_once_the_first_come_is_first_elsewhere_too() {
    for moves in 0..3 {
        let mut w = world();
        let guests = ["waits-d", "waits-c", "naps", "waits-d", "naps", "waits-c"];
        for (export, name) in guests.into_iter().zip(1..) {
            spawn(&mut w, export, 1_000, name);
        }
        let forever = spawn(&mut w, "forever", 0, 0);
        assert_eq!(w.sched.run(Budget::total(900)).unwrap(), RunResult::Interrupted(forever));
        w.sched.kill(forever).unwrap();
        for _ in 0..moves {
            reload(&mut w);
        }
        assert_eq!(w.sched.next_due_ns(), Some(1_000));
        assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
        let said = w.log.take().into_iter().filter(|said| *said > 0);
        let said: Vec<i64> = said.collect();
        assert_eq!(said, [1, 2, 3, 4, 5, 6, 2, 3, 5, 6, 3, 5], "moved {moves} times");
    }
}

/// The clock of a deterministic scheduler does not pass the time of those that wait for the host.
#[test]
fn a_blocking_run_waits_for_several_imports_without_keeping_busy() {
    const PATIENCE: Duration = Duration::from_millis(80);
    for is_virtual in [true, false] {
        let imports = r#"(import "host" "wait" (func $wait))"#;
        let main = r#"(func (export "main") (call $wait) (call $say (i32.const 7)))"#;
        let mut w = World::with_imports(imports, main);
        if is_virtual {
            w.sched.set_clock(VirtualClock::default());
        }
        let polls = Arc::new(AtomicUsize::new(0));
        for _ in 0..2 {
            let polls = polls.clone();
            let host = w.log.builder().suspending("host", "wait", &[], &[], move |_, _| {
                let (polls, begun) = (polls.clone(), Instant::now());
                Ok(std::future::poll_fn(move |_| {
                    polls.fetch_add(1, Ordering::Relaxed);
                    match begun.elapsed() >= PATIENCE {
                        true => Poll::Ready(Ok(vec![])),
                        false => Poll::Pending,
                    }
                }))
            });
            let main = tasklet_engine::Spawn::export("main").host(host.build());
            w.sched.spawn(&w.module, main).unwrap();
        }
        assert_eq!(w.sched.run(Budget::unlimited().blocking()).unwrap(), RunResult::Finished);
        assert_eq!(w.log.take(), [7, 7]);
        let polls = polls.load(Ordering::Relaxed);
        assert!(polls < 100, "asked {polls} times, virtual: {is_virtual}");
    }
}

#[test]
fn a_blocking_run_that_waits_for_time_can_be_interrupted() {
    const NAP: Duration = Duration::from_secs(4);
    let mut w = world();
    w.sched.set_clock(MonotonicClock::default());
    let id = spawn(&mut w, "waits-c", NAP.as_nanos() as u64, 1);
    let handle = w.sched.tasklet(id).unwrap().handle();
    let begun = Instant::now();
    let interrupter = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        handle.interrupt();
    });
    let result = w.sched.run(Budget::unlimited().blocking()).unwrap();
    interrupter.join().unwrap();
    assert_eq!(result, RunResult::Interrupted(id));
    assert!(begun.elapsed() < NAP, "{:?}", begun.elapsed());
    assert!(w.sched.flags(id).paused && w.sched.next_due_ns().is_none());
    // What is left of its wait it waits for once it is inserted.
    w.sched.insert(id).unwrap();
    assert!(w.sched.flags(id).blocked);
    let left = w.sched.next_due_ns().map(Duration::from_nanos);
    assert!(left.is_some_and(|left| left > NAP / 8 && left < NAP), "{left:?}");
    w.sched.set_clock(VirtualClock::default());
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [-7, 1, -7, 1]);
}

fn text(text: &str) -> HostValue {
    HostValue::Text(text.into())
}

fn map(entries: &[(&str, HostValue)]) -> HostValue {
    HostValue::Map(entries.iter().map(|(key, value)| (text(key), value.clone())).collect())
}

/// What a forged set says that a guest asks, was told or thrown is refused, or what guests can bring
/// upon themselves.
#[test]
fn forged_waits_are_refused_or_harmless() {
    let mut w = world();
    let [nap, run] = [("naps", 7), ("runs", 9)].map(|(name, ns)| spawn(&mut w, name, ns, 1));
    let forever = spawn(&mut w, "forever", 0, 0);
    while !w.sched.flags(run).waiting {
        if let RunResult::Interrupted(id) = w.sched.run(Budget::total(5)).unwrap() {
            w.sched.insert(id).unwrap();
        }
    }
    w.sched.kill(forever).unwrap();
    let bytes = dump(&mut w.sched);
    let most = || HostValue::from(u64::MAX);
    let asked = |name, key, value| ("asked", map(&[(name, map(&[(key, value)]))]));
    let receive = map(&[
        ("channel", HostValue::from(0)),
        ("may_wait", HostValue::Bool(true)),
        ("timeout", most()),
    ]);
    let answer = ("answer", map(&[("code", HostValue::from(3))]));
    let thrown = ("thrown", HostValue::Bytes(vec![b'!']));
    let forgeries = [
        (true, vec![asked("sleep", "ns", most())]),
        (true, vec![asked("run", "steps", most())]),
        (true, vec![("asked", map(&[("receive", receive.clone())]))]),
        (true, vec![("asked", HostValue::Null), answer.clone(), thrown.clone()]),
        (true, vec![thrown.clone()]),
        (false, vec![answer.clone()]),
        (false, vec![("turn", text("first"))]),
        (true, vec![("turn", most())]),
        (false, vec![asked("sleep", "ns", HostValue::from(-1))]),
    ];
    for (n, (accepted, entries)) in forgeries.iter().enumerate() {
        for (victim, place) in [nap, run]
            .iter()
            .flat_map(|id| [set::Place::Ready, set::Place::Waiting].map(|place| (*id, place)))
        {
            let (mut set, _) = set::Set::read_slice(&bytes, &set::Limits::DEFAULT).unwrap();
            let member = set.tasklets.iter_mut().find(|m| m.number == victim.number()).unwrap();
            member.place = place;
            let state = member.snapshot.host.iter_mut().find(|(name, _)| name == "tasklet");
            let HostValue::Map(fields) = &mut state.unwrap().1 else { panic!("a seat is a map") };
            for (key, value) in entries {
                fields.retain(|(known, _)| *known != text(key));
                fields.push((text(key), value.clone()));
            }
            set.tasklets.sort_by_key(|m| m.place != set::Place::Ready);
            let mut forged = Vec::new();
            set.write_to(&mut forged).unwrap();
            let mut fresh = Scheduler::new(&w.engine);
            fresh.set_clock(VirtualClock::default());
            let options = SetOptions::default().hosts(|_| w.log.host()).module(&w.module);
            let loaded = fresh.load_set(&forged, options);
            assert_eq!(loaded.is_ok(), *accepted, "{n}: {loaded:?}");
            if loaded.is_err() {
                continue;
            }
            loop {
                match fresh.run(Budget::total(10_000)).unwrap() {
                    RunResult::Expired | RunResult::Trapped(..) => {}
                    RunResult::Interrupted(id) => fresh.insert(id).unwrap(),
                    result => break assert_eq!(result, RunResult::Finished, "{n}"),
                }
            }
        }
    }
}
