//! Tasklets that take turns: order, budgets, flags, errors.

mod common;

use std::sync::{Arc, Mutex};

use common::guests::World;
use tasklet_engine::{
    Budget, ChannelOptions, Error, ErrorKind, Flags, Handed, Message, Outcome, RunResult, Spawn,
    Status, TaskletId, TrapKind, Value,
};

/// Counts and tells its number at the end.
const COUNT: &str = r#"
    (func (export "count") (drop (call $count (i32.const 1000))) (call $log (call $id)))
    (func (export "short") (call $log (call $id)))
    (func (export "yielding") (local $i i32)
      (loop $l
        (call $log (call $id))
        (drop (call $yield))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3)))))
    (func (export "parking") (call $say (i32.const 1)) (drop (call $park)) (call $say (i32.const 2)))
    (func (export "fail") (unreachable))
    (func (export "forever") (loop $l (br $l)))
    (func (export "forty-two") (result i32) (i32.const 42))
"#;

fn number(id: TaskletId) -> i64 {
    id.number() as i64
}

#[test]
fn tasklets_run_in_the_order_in_which_they_were_inserted() {
    let mut w = World::new(COUNT);
    let ids: Vec<_> = (0..3).map(|_| w.sched.spawn(&w.module, w.of("yielding")).unwrap()).collect();
    assert_eq!(w.sched.ready(), ids);
    assert_eq!(w.sched.run_count(), 3);
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    let round: Vec<i64> = ids.iter().copied().map(number).collect();
    assert_eq!(w.log.take(), [round.clone(), round.clone(), round].concat());
    assert_eq!(w.sched.run_count(), 0);
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Idle);
}

#[test]
fn inserting_removing_and_killing_keep_the_order() {
    let mut w = World::new(COUNT);
    let [a, b, c, d] = [(); 4].map(|()| w.sched.spawn(&w.module, w.of("short")).unwrap());
    w.sched.remove(a).unwrap();
    w.sched.remove(a).unwrap();
    w.sched.insert(b).unwrap();
    w.sched.kill(c).unwrap();
    assert_eq!(w.sched.ready(), [b, d]);
    assert!(w.sched.flags(a).paused && !w.sched.flags(a).scheduled);
    w.sched.insert(a).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [b, d, a].map(number));
    assert_eq!(w.sched.insert(c).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(matches!(w.sched.remove(a), Err(Error::NoSuchTasklet { id }) if id == a));
}

/// Scenario 3 of Stackless's: the flags are exact at every step.
#[test]
fn life_cycle_flags() {
    let mut w = World::new(COUNT);
    let paused = Flags { alive: true, paused: true, ..Flags::default() };
    let ready = Flags { alive: true, scheduled: true, ..Flags::default() };
    let id = w.sched.spawn(&w.module, w.of("count").paused()).unwrap();
    assert_eq!(w.sched.flags(id), paused);
    // The same with what is loaded from a dump of it.
    let unstarted = w.sched.dump(id).unwrap();
    w.sched.insert(id).unwrap();
    assert_eq!(w.sched.flags(id), ready);
    assert_eq!(w.sched.run(Budget::steps(50)).unwrap(), RunResult::Interrupted(id));
    assert_eq!(w.sched.flags(id), paused);
    let started = w.sched.dump(id).unwrap();
    w.sched.restorable(id).unwrap();
    w.sched.insert(id).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.sched.flags(id), Flags::default());
    assert_eq!(w.sched.end(id), Some(&Status::Finished(vec![])));
    for bytes in [unstarted, started] {
        let options = tasklet_engine::LoadOptions::default().host(w.log.host());
        let copy = w.sched.load_with(&bytes, options).unwrap();
        assert_eq!(w.sched.flags(copy), paused);
        w.sched.insert(copy).unwrap();
        assert_eq!(w.sched.flags(copy), ready);
        assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
        assert_eq!(w.sched.flags(copy), Flags::default());
        assert_eq!(w.sched.end(copy), Some(&Status::Finished(vec![])));
    }
}

/// Scenario 10: whatever is interrupted is inserted again until nothing is left.
#[test]
fn watchdog_fairness() {
    let mut w = World::new(COUNT);
    let ids: Vec<_> = (0..3).map(|_| w.sched.spawn(&w.module, w.of("count")).unwrap()).collect();
    let mut victims = Vec::new();
    loop {
        match w.sched.run(Budget::steps(100)).unwrap() {
            RunResult::Interrupted(id) => {
                victims.push(id);
                w.sched.insert(id).unwrap();
            }
            RunResult::Finished => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(w.log.take(), ids.iter().copied().map(number).collect::<Vec<_>>());
    // They take turns: a b c a b c.
    assert!(victims.len() > 30);
    for (at, victim) in victims.iter().enumerate() {
        assert_eq!(*victim, ids[at % 3]);
    }
}

#[test]
fn slices_that_end_can_be_the_schedulers_own() {
    let mut w = World::new(COUNT);
    for _ in 0..3 {
        w.sched.spawn(&w.module, w.of("count")).unwrap();
    }
    let switches = Arc::new(Mutex::new(Vec::new()));
    let seen = switches.clone();
    w.sched.on_switch(move |before, next| seen.lock().unwrap().push((before, next)));
    let budget = Budget::steps(100).round_robin();
    assert_eq!(w.sched.run(budget).unwrap(), RunResult::Finished);
    let switches = switches.lock().unwrap();
    assert!(switches.len() > 30);
    assert_eq!((switches[0].0, switches[switches.len() - 1].1), (None, None));
    for pair in switches.windows(2) {
        assert_eq!(pair[0].1, pair[1].0);
    }
    drop(switches);
    // A single one is its own successor.
    w.sched.spawn(&w.module, w.of("count")).unwrap();
    assert_eq!(w.sched.run(Budget::steps(7).round_robin()).unwrap(), RunResult::Finished);
}

#[test]
fn what_is_granted_is_used_or_balance_at_every_stop() {
    let used = |budget: Budget| {
        let mut w = World::new(COUNT);
        let id = w.sched.spawn(&w.module, w.of("yielding")).unwrap();
        let mut steps = Vec::new();
        while let RunResult::Interrupted(_) = w.sched.run(budget).unwrap() {
            let tasklet = w.sched.tasklet_mut(id).unwrap();
            let (granted, used) = (tasklet.granted(), tasklet.steps_used().unwrap());
            assert_eq!(granted as i64, used as i64 + tasklet.balance().unwrap());
            steps.push(used);
            w.sched.insert(id).unwrap();
        }
        let Some(Status::Finished(_)) = w.sched.end(id) else { panic!("it has not finished") };
        (w.log.take().len(), steps.last().copied().unwrap_or(0))
    };
    let (said, last) = used(Budget::steps(1));
    assert_eq!(said, 3);
    assert!(last > 20);
    for steps in [2, 3, 7] {
        assert_eq!(used(Budget::steps(steps)).0, 3);
    }
    assert_eq!(used(Budget::unlimited()).0, 3);
}

#[test]
fn a_total_is_for_the_whole_run() {
    let mut w = World::new(COUNT);
    let id = w.sched.spawn(&w.module, w.of("forever")).unwrap();
    let other = w.sched.spawn(&w.module, w.of("forever")).unwrap();
    let budget = Budget::steps(100).round_robin().with_total(1_050);
    assert_eq!(w.sched.run(budget).unwrap(), RunResult::Interrupted(id));
    let granted = |w: &World, id| w.sched.tasklet(id).unwrap().granted();
    assert_eq!((granted(&w, id), granted(&w, other)), (550, 500));
    assert_eq!(w.sched.ready(), [other]);
    assert_eq!(w.sched.run(Budget::total(10)).unwrap(), RunResult::Interrupted(other));
    assert_eq!(granted(&w, other), 510);
}

#[test]
fn a_soft_run_interrupts_nobody() {
    let mut w = World::new(COUNT);
    let [a, b] = [(); 2].map(|()| w.sched.spawn(&w.module, w.of("yielding")).unwrap());
    assert_eq!(w.sched.run(Budget::steps(1).soft()).unwrap(), RunResult::Expired);
    assert_eq!((w.log.take(), w.sched.ready()), (vec![number(a)], vec![b, a]));
    assert_eq!(w.sched.run(Budget::total(1).soft()).unwrap(), RunResult::Expired);
    assert_eq!((w.log.take(), w.sched.ready()), (vec![number(b)], vec![a, b]));
    // One that never leaves the processor is not stopped: it ends first.
    let count = w.sched.spawn(&w.module, w.of("count")).unwrap();
    w.sched.kill(a).unwrap();
    w.sched.kill(b).unwrap();
    assert_eq!(w.sched.run(Budget::steps(1).soft()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [number(count)]);
}

#[test]
fn one_that_parks_is_paused_until_it_is_inserted() {
    let mut w = World::new(COUNT);
    let id = w.sched.spawn(&w.module, w.of("parking")).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert!(w.sched.flags(id).paused);
    assert_eq!(w.log.take(), [1]);
    w.sched.insert(id).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [2]);
}

/// Scenario 12: a trap comes out of `run` once and names the tasklet; the others stay queued.
#[test]
fn error_routing() {
    let mut w = World::new(COUNT);
    let bad = w.sched.spawn(&w.module, w.of("fail")).unwrap();
    let good = w.sched.spawn(&w.module, w.of("short")).unwrap();
    let RunResult::Trapped(id, trap) = w.sched.run(Budget::unlimited()).unwrap() else {
        panic!("no trap")
    };
    assert_eq!((id, trap.kind), (bad, TrapKind::Unreachable));
    assert_eq!(w.sched.ready(), [good]);
    assert_eq!(w.sched.end(bad), Some(&Status::Trapped(trap)));
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [number(good)]);
    // With a handler nothing comes out.
    let traps = Arc::new(Mutex::new(Vec::new()));
    let seen = traps.clone();
    w.sched.on_trap(move |id, trap| seen.lock().unwrap().push((id, trap.kind)));
    let bad = w.sched.spawn(&w.module, w.of("fail")).unwrap();
    let good = w.sched.spawn(&w.module, w.of("short")).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(*traps.lock().unwrap(), [(bad, TrapKind::Unreachable)]);
    assert_eq!(w.log.take(), [number(good)]);
}

#[test]
fn results_are_kept() {
    let mut w = World::new(COUNT);
    let id = w.sched.spawn(&w.module, w.of("forty-two")).unwrap();
    assert_eq!(w.sched.end(id), None);
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.sched.end(id), Some(&Status::Finished(vec![Value::I32(42)])));
}

#[test]
fn a_handle_interrupts_one_that_runs() {
    let mut w = World::new(COUNT);
    let id = w.sched.spawn(&w.module, w.of("forever")).unwrap();
    w.sched.tasklet(id).unwrap().handle().interrupt();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Interrupted(id));
    assert!(w.sched.flags(id).paused);
}

#[test]
fn limits_are_kept() {
    let mut w = World::new(COUNT);
    w.sched.set_tasklets_max(1);
    w.sched.spawn(&w.module, w.of("short")).unwrap();
    let error = w.sched.spawn(&w.module, w.of("short")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    let long = w.of("short").argument(&vec![0; (1 << 20) + 1]);
    assert_eq!(w.sched.spawn(&w.module, long).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn without_a_scheduler_its_imports_are_unknown() {
    let w = World::new(COUNT);
    let entry = common::invoke("short", &[]);
    let error = tasklet_engine::Tasklet::spawn(&w.module, w.log.host(), entry).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Import);
    assert!(error.to_string().contains("Scheduler::spawn"), "{error}");
}

#[test]
fn one_that_was_taken_asks_and_nobody_answers() {
    let mut w = World::new(COUNT);
    let id = w.sched.spawn(&w.module, w.of("yielding")).unwrap();
    let mut taken = w.sched.take(id).unwrap();
    assert_eq!(taken.tasklet_mut().run(u64::MAX).unwrap(), Outcome::Asks);
    assert_eq!(taken.tasklet_mut().run(u64::MAX).unwrap(), Outcome::Asks);
    assert_eq!(w.log.take(), [number(id)]);
    let again = w.sched.put(taken).unwrap();
    w.sched.insert(again).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [number(again), number(again)]);
}

/// One that sleeps leaves the processor to the others, and nobody blocks but who wants to.
#[test]
fn waiting_for_the_system_holds_nobody_up() {
    let guest = r#"
        (import "wasi_snapshot_preview1" "poll_oneoff"
          (func $poll (param i32 i32 i32 i32) (result i32)))"#;
    let sleep = r#"
        (func (export "sleep")
          (i32.store (i32.const 1040) (i32.const 1)) ;; the monotonic clock
          (i64.store (i32.const 1048) (i64.const 30000000))
          (call $say (call $poll (i32.const 1024) (i32.const 1104) (i32.const 1) (i32.const 1200))))
        (func (export "short") (call $log (call $id)))"#;
    let mut w = World::new("");
    let wat = format!("(module {guest} {} {sleep})", common::guests::PRELUDE);
    let wasm = wat::parse_str(wat).unwrap();
    w.module = tasklet_engine::Module::load(&w.engine, &wasm).unwrap();
    let of = |w: &World, export: &str| {
        let options = tasklet_engine::wasi::WasiOptions::default();
        Spawn::export(export).host(w.log.builder().wasi(options).build())
    };
    let [sleeper, killed] = [(); 2].map(|()| w.sched.spawn(&w.module, of(&w, "sleep")).unwrap());
    let other = w.sched.spawn(&w.module, of(&w, "short")).unwrap();
    let result = w.sched.run(Budget::unlimited()).unwrap();
    let tasklets = vec![sleeper, killed];
    assert_eq!(result, RunResult::Waiting { tasklets, next_ns: None });
    assert_eq!(w.log.take(), [number(other)]);
    let flags = w.sched.flags(sleeper);
    assert!(flags.waiting && flags.alive && !flags.paused && !flags.scheduled);
    w.sched.kill(killed).unwrap();
    // It goes on waiting in the copy.
    let bytes = w.sched.dump(sleeper).unwrap();
    let mut runs = 0;
    while w.sched.run(Budget::unlimited()).unwrap() != RunResult::Finished {
        w.sched.tasklet_mut(sleeper).unwrap().wait();
        runs += 1;
    }
    assert!(runs > 0);
    assert_eq!(w.log.take(), [0]);
    let host = w.log.builder().wasi_restore(Default::default()).build();
    let options = tasklet_engine::LoadOptions::default().host(host);
    let copy = w.sched.load_with(&bytes, options).unwrap();
    w.sched.insert(copy).unwrap();
    while w.sched.run(Budget::unlimited()).unwrap() != RunResult::Finished {
        w.sched.tasklet_mut(copy).unwrap().wait();
    }
    assert_eq!(w.log.take(), [0]);
}

/// A token goes round a ring of many, twice.
#[test]
fn a_ring_of_many() {
    let ring = r#"
        (data (i32.const 8) "lr")
        (func $pass (param $by i32) (local $l i32)
          (drop (call $receive (call $channel (i32.const 8) (i32.const 1)) (i32.const 64) (i32.const 4)))
          (i32.store (i32.const 64) (i32.add (i32.load (i32.const 64)) (local.get $by)))
          (drop (call $send (call $channel (i32.const 9) (i32.const 1)) (i32.const 64) (i32.const 4))))
        (func (export "node") (call $pass (i32.const 1)) (call $pass (i32.const 1)))"#;
    const NODES: usize = 200;
    let mut w = World::new(ring);
    let options = ChannelOptions { external: true, ..ChannelOptions::default() };
    let channels: Vec<_> =
        (0..=NODES).map(|at| w.sched.channel(&at.to_string(), options).unwrap()).collect();
    for pair in channels.windows(2) {
        let spawn = w.of("node").channel("l", pair[0]).channel("r", pair[1]);
        w.sched.spawn(&w.module, spawn).unwrap();
    }
    let mut token = Message::Data(vec![0; 4]);
    for round in 1..=2u32 {
        assert!(matches!(w.sched.run(Budget::steps(50).round_robin()), Ok(RunResult::Blocked(_))));
        assert!(matches!(w.sched.try_send(channels[0], token), Ok(Handed::To(_))));
        let result = w.sched.run(Budget::steps(5).round_robin()).unwrap();
        assert!(matches!(result, RunResult::Blocked(_)), "{result:?}");
        token = w.sched.try_receive(channels[NODES]).unwrap().expect("the last one sends it on");
        assert_eq!(token, Message::Data((round * NODES as u32).to_le_bytes().to_vec()));
    }
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert!(w.sched.tasklets().is_empty());
}
