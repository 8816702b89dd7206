//! Meddling with the order, errors that are thrown into tasklets, and traps that refuse.

mod common;

use common::guests::World;
use tasklet_engine::{
    Budget, ChannelOptions, Error, ErrorKind, Message, RunResult, Status, TaskletId, TrapKind,
};

const GUESTS: &str = r#"
    (func (export "short") (call $log (call $id)))
    (func $report (param i64) (call $log (local.get 0)) (call $why))
    (func (export "receives")
      (call $report (call $receive (call $c) (i32.const 64) (i32.const 8)))
      (call $log (call $receive (call $c) (i32.const 64) (i32.const 8))))
    (func (export "sends")
      (call $report (i64.extend_i32_s (call $send (call $c) (i32.const 0) (i32.const 1)))))
    (func (export "parks") (call $report (i64.extend_i32_s (call $park))))
    (func (export "sleeps") (call $report (i64.extend_i32_s (call $sleep (i64.const 1000000)))))
    (func (export "runs") (call $report (call $run (i64.const 0))))
    (func (export "counts")
      (drop (call $count (i32.const 100)))
      (call $report (i64.extend_i32_s (call $yield))))
    (func (export "spins") (loop $l (br $l)))
    (func (export "trapped")
      (call $say (call $block_trap (i32.const 1)))
      (call $log (call $receive (call $c) (i32.const 64) (i32.const 8)))
      (call $say (call $send (call $c) (i32.const 0) (i32.const 1)))
      (call $say (call $park))
      (call $say (call $sleep (i64.const 1)))
      (call $log (call $run (i64.const 0)))
      (call $log (call $receive_timeout (call $c) (i32.const 64) (i32.const 8) (i64.const 9)))
      (call $say (call $yield))
      (call $say (call $block_trap (i32.const 0)))
      (call $log (call $receive (call $c) (i32.const 64) (i32.const 8))))
    (func (export "steps")
      (call $log (call $steps_left))
      (drop (call $count (i32.const 10)))
      (call $log (call $steps_left)))
"#;

fn world() -> World {
    let mut w = World::new(GUESTS);
    w.sched.channel("talk", ChannelOptions::default()).unwrap();
    w.sched.set_clock(tasklet_engine::VirtualClock::default());
    w
}

fn spawn(w: &mut World, export: &str) -> TaskletId {
    let channel = w.sched.find_channel("talk").unwrap();
    let spawn = w.of(export).channel("c", channel);
    w.sched.spawn(&w.module, spawn).unwrap()
}

fn number(id: TaskletId) -> i64 {
    id.number() as i64
}

/// Whatever would show that something has changed.
fn state(w: &World) -> String {
    let ids = w.sched.tasklets();
    let flags: Vec<_> = ids.iter().map(|id| w.sched.flags(*id)).collect();
    let channel = w.sched.find_channel("talk").unwrap();
    format!("{:?} {flags:?} {:?}", w.sched.ready(), w.sched.waiting_on(channel))
}

#[test]
fn who_is_to_run_now_runs_next() {
    let mut w = world();
    let [a, b, c] = [(); 3].map(|()| spawn(&mut w, "short"));
    let paused = w.sched.spawn(&w.module, w.of("short").paused()).unwrap();
    w.sched.run_now(c).unwrap();
    w.sched.run_now(paused).unwrap();
    assert_eq!(w.sched.ready(), [paused, c, a, b]);
    w.sched.switch(paused, b).unwrap();
    w.sched.switch(b, b).unwrap();
    assert_eq!((w.sched.ready(), w.sched.flags(paused).paused), (vec![b, c, a], true));
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [b, c, a].map(number));
    assert!(matches!(w.sched.run_now(a), Err(Error::NoSuchTasklet { id }) if id == a));
    // Both or neither.
    assert!(matches!(w.sched.switch(paused, a), Err(Error::NoSuchTasklet { id }) if id == a));
    assert!(w.sched.flags(paused).paused);
    let blocked = spawn(&mut w, "receives");
    w.sched.run(Budget::unlimited()).unwrap();
    for (from, to) in [(paused, blocked), (blocked, paused)] {
        let refused = w.sched.switch(from, to).unwrap_err();
        assert!(
            matches!(refused, Error::CannotSchedule { verb: "switch", id, .. } if id == blocked)
        );
    }
    assert!(w.sched.flags(paused).paused && w.sched.flags(blocked).blocked);
}

/// Scenario 14 of Stackless's: it is told where it waits, and waits no more.
#[test]
fn an_error_is_thrown_into_whatever_waits() {
    let exports = ["receives", "sends", "parks", "sleeps", "runs"];
    for (export, pending) in exports.into_iter().flat_map(|e| [(e, false), (e, true)]) {
        for moves in [false, true] {
            let mut w = world();
            let mut id = spawn(&mut w, export);
            // Nothing wakes it while this one is ready.
            let spins = spawn(&mut w, "spins");
            assert_eq!(w.sched.run(Budget::total(300)).unwrap(), RunResult::Interrupted(spins));
            w.sched.kill(spins).unwrap();
            let flags = w.sched.flags(id);
            assert!(flags.blocked || flags.waiting || flags.paused, "{export}: {flags:?}");
            w.sched.throw(id, b"why", pending).unwrap();
            let channel = w.sched.find_channel("talk").unwrap();
            assert_eq!(w.sched.balance(channel).unwrap(), 0);
            assert_eq!(w.sched.ready(), [id], "{export}");
            if moves {
                w.move_all();
                id = w.sched.ready()[0];
            }
            // It has not been told yet: what is refused changes nothing.
            let before = state(&w);
            let refused = w.sched.throw(id, b"more", pending).unwrap_err();
            assert!(matches!(refused, Error::CannotSchedule { verb: "throw", .. }), "{refused}");
            assert_eq!(state(&w), before);
            let ended = w.sched.run(Budget::unlimited()).unwrap();
            assert_eq!(w.log.take(), [-8, i64::from(b'w')], "{export}, moved: {moves}");
            match export {
                "receives" => assert_eq!(ended, RunResult::Deadlock(vec![id])),
                _ => assert_eq!(ended, RunResult::Finished),
            }
        }
    }
}

#[test]
fn one_that_counts_is_told_when_it_waits() {
    for pending in [false, true] {
        let mut w = world();
        let id = spawn(&mut w, "counts");
        let other = spawn(&mut w, "short");
        assert_eq!(w.sched.run(Budget::steps(50)).unwrap(), RunResult::Interrupted(id));
        w.sched.throw(id, b"x", pending).unwrap();
        assert_eq!(w.sched.ready(), if pending { [other, id] } else { [id, other] });
        assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
        let told = [-8, i64::from(b'x')];
        let all = if pending {
            [&[number(other)][..], &told].concat()
        } else {
            [&told, &[number(other)][..]].concat()
        };
        assert_eq!(w.log.take(), all);
    }
}

#[test]
fn a_message_that_has_come_is_told_before_an_error() {
    let mut w = world();
    let channel = w.sched.find_channel("talk").unwrap();
    let id = spawn(&mut w, "receives");
    w.sched.run(Budget::unlimited()).unwrap();
    w.sched.try_send(channel, Message::Data(vec![7])).unwrap();
    w.sched.throw(id, b"late", false).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [1, 7, -8]);
}

#[test]
fn one_that_has_not_begun_ends_and_nothing_of_it_runs() {
    for moved in [false, true] {
        let mut w = world();
        let other = spawn(&mut w, "short");
        let mut id = spawn(&mut w, "short");
        w.sched.throw(id, b"never", false).unwrap();
        assert_eq!(w.sched.ready(), [id, other]);
        let refused = w.sched.throw(id, b"again", false).unwrap_err();
        assert!(refused.to_string().contains("ended"), "{refused}");
        if moved {
            w.move_all();
            id = w.sched.ready()[0];
        }
        let RunResult::Trapped(of, trap) = w.sched.run(Budget::unlimited()).unwrap() else {
            panic!("it must be told")
        };
        assert_eq!((of, trap.kind, trap.message.as_str()), (id, TrapKind::Thrown, "thrown: never"));
        assert!(matches!(w.sched.end(id), Some(Status::Trapped(_))));
        assert!(w.log.take().is_empty());
        assert!(matches!(w.sched.throw(id, b"", true), Err(Error::NoSuchTasklet { .. })));
        assert_eq!(w.sched.run_count(), 1);
    }
}

#[test]
fn invalid_errors_change_nothing() {
    let mut w = world();
    let id = spawn(&mut w, "receives");
    w.sched.run(Budget::unlimited()).unwrap();
    let before = state(&w);
    let long = vec![0; (16 << 20) + 1];
    assert_eq!(w.sched.throw(id, &long, false).unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(state(&w), before);
    // One that imports nothing can be told nothing.
    let wasm = wat::parse_str(r#"(module (func (export "main") (loop $l (br $l))))"#).unwrap();
    let module = tasklet_engine::Module::load(&w.engine, &wasm).unwrap();
    let deaf = w.sched.spawn(&module, common::invoke("main", &[])).unwrap();
    assert_eq!(w.sched.run(Budget::steps(10)).unwrap(), RunResult::Interrupted(deaf));
    let refused = w.sched.throw(deaf, b"x", false).unwrap_err();
    assert!(matches!(refused, Error::CannotSchedule { verb: "throw", id, .. } if id == deaf));
    assert!(w.sched.flags(deaf).paused);
}

/// Scenario 15: each is refused, nothing has changed, and afterwards it is done.
#[test]
fn a_switch_trap_refuses_what_would_switch() {
    let mut w = world();
    let [a, b] = [(); 2].map(|()| spawn(&mut w, "short"));
    assert_eq!(
        (w.sched.switch_trap(1), w.sched.switch_trap(1), w.sched.switch_trap(-1)),
        (0, 1, 2)
    );
    let before = state(&w);
    let refused = [
        w.sched.run(Budget::unlimited()).map(drop),
        w.sched.run_now(b),
        w.sched.switch(a, b),
        w.sched.throw(b, b"", false),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(Error::SwitchTrap)), "{refused:?}");
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Usage);
    }
    assert_eq!((state(&w), w.log.take()), (before, vec![]));
    assert_eq!(w.sched.switch_trap(-1), 1);
    w.sched.run_now(b).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [b, a].map(number));
}

#[test]
fn a_block_trap_refuses_what_would_wait() {
    for budget in [Budget::unlimited(), Budget::steps(1)] {
        let mut w = world();
        spawn(&mut w, "trapped");
        let result = loop {
            match w.sched.run(budget).unwrap() {
                RunResult::Interrupted(id) => {
                    w.sched.insert(id).unwrap();
                    w.move_all();
                }
                result => break result,
            }
        };
        let id = w.sched.tasklets()[0];
        assert_eq!(result, RunResult::Deadlock(vec![id]));
        assert_eq!(w.log.take(), [0, -2, -2, -2, -2, -2, -2, 0, 1]);
        // From outside it is for what comes, not for what waits.
        assert!(!w.sched.set_block_trap(id, true).unwrap());
        assert!(w.sched.flags(id).block_trap && w.sched.flags(id).blocked);
        assert!(w.sched.set_block_trap(id, false).unwrap());
    }
}

#[test]
fn steps_left_are_those_of_the_slice() {
    let mut w = world();
    spawn(&mut w, "steps");
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [i64::MAX; 2]);
    spawn(&mut w, "steps");
    assert_eq!(w.sched.run(Budget::steps(1000)).unwrap(), RunResult::Finished);
    let left = w.log.take();
    assert!(left[0] < 1000 && left[0] > 980 && left[1] < left[0] - 40 && left[1] > 850, "{left:?}");
    spawn(&mut w, "steps");
    assert_eq!(w.sched.run(Budget::steps(5000).with_total(1000)).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), left);
}
