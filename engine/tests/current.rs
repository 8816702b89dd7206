//! Whose turn it is, for whoever asks; and what is left when a hook or a host import panics.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use common::guests::World;
use tasklet_engine::{
    Budget, ChannelOptions, Current, Error, Host, RunResult, Status, TaskletId, Value,
};

const IMPORTS: &str = r#"(import "test" "bad" (func $bad))"#;

const GUESTS: &str = r#"
    (data (i32.const 8) "one")
    (func (export "one") (result i32) (drop (call $yield)) (call $count (i32.const 50)))
    (func (export "bad") (call $bad))
    (func (export "trap") (unreachable))
    (func (export "send") (result i32) (call $send (call $c) (i32.const 0) (i32.const 1)))
    (func (export "receive") (result i64)
      (call $receive (call $c) (i32.const 64) (i32.const 1)))
    (func (export "spawn") (result i32)
      (i64.gt_s (call $spawn (i32.const 8) (i32.const 3) (i32.const 0) (i32.const 0)) (i64.const 0)))
    (func (export "fork") (result i32)
      (i64.gt_s (call $fork) (i64.const 0)))
    (func (export "endless") (loop $l (br $l)))
"#;

/// What the import does is said by the flag: it panics once.
fn host(w: &World, panics: &Arc<AtomicBool>) -> Host {
    let panics = panics.clone();
    let bad = move |_: &mut tasklet_engine::HostCtx<'_>, _: &[Value]| {
        assert!(!panics.swap(false, Ordering::Relaxed), "as it was told to");
        Ok(vec![])
    };
    w.log.builder().func("test", "bad", &[], &[], bad).build()
}

fn spawn(w: &mut World, export: &str) -> TaskletId {
    let host = host(w, &Arc::default());
    let spawn = w.of(export).host(host);
    let spawn = match w.sched.find_channel("talk") {
        Some(c) => spawn.channel("c", c),
        None => spawn,
    };
    w.sched.spawn(&w.module, spawn).unwrap()
}

fn world() -> World {
    let mut w = World::with_imports(IMPORTS, GUESTS);
    w.sched.channel("talk", ChannelOptions::default()).unwrap();
    w
}

#[test]
fn hooks_know_whose_turn_it_is() {
    let mut w = world();
    let [one, other] = ["one", "one"].map(|export| spawn(&mut w, export));
    let [sender, receiver, trapped] = ["send", "receive", "trap"].map(|it| spawn(&mut w, it));
    // What was called, for whom, and whose turn that said it was.
    type Seen = (&'static str, TaskletId, Option<TaskletId>);
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let current = w.sched.current();
    assert_eq!(current.get(), None);
    let (list, now) = (seen.clone(), current.clone());
    w.sched.on_switch(move |_, next| {
        list.lock().unwrap().extend(next.map(|next| ("switch", next, now.get())));
    });
    let (list, now) = (seen.clone(), current.clone());
    w.sched.on_channel(move |_, id, _, _| list.lock().unwrap().push(("channel", id, now.get())));
    let (list, now) = (seen.clone(), current.clone());
    w.sched.on_trap(move |id, _| list.lock().unwrap().push(("trap", id, now.get())));
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(|(_, id, current)| *current == Some(*id)), "{seen:?}");
    let of = |id: TaskletId, what| seen.iter().filter(|it| it.0 == what && it.1 == id).count();
    assert_eq!([one, other].map(|id| of(id, "switch")), [2, 2]);
    assert_eq!((of(sender, "channel"), of(receiver, "channel"), of(trapped, "trap")), (1, 1, 1));
    assert_eq!(current.get(), None);
}

/// A watchdog: another thread that looks who runs, and has it interrupted.
#[test]
fn another_thread_knows_whose_turn_it_is() {
    let mut w = world();
    let endless = spawn(&mut w, "endless");
    let (current, handle) = (w.sched.current(), w.sched.tasklet(endless).unwrap().handle());
    let watchdog = std::thread::spawn(move || {
        let found = loop {
            if let Some(id) = current.get() {
                break id;
            }
            std::thread::yield_now();
        };
        handle.interrupt();
        found
    });
    let result = w.sched.run(Budget::unlimited()).unwrap();
    assert_eq!(result, RunResult::Interrupted(endless));
    assert_eq!(watchdog.join().unwrap(), endless);
}

/// Runs until something panics.
fn panicked(w: &mut World) -> String {
    let ran = catch_unwind(AssertUnwindSafe(|| w.sched.run(Budget::unlimited())));
    ran.expect_err("it panics").downcast_ref::<&str>().map(ToString::to_string).unwrap_or_default()
}

/// A hook that panics takes nobody with it: who ran is paused, counts as running no more, can be
/// written down, and goes on as if nothing had happened.
#[test]
fn a_hook_that_panics_loses_nobody() {
    type Hook = fn(&mut World, Arc<AtomicBool>);
    let hooks: [(&str, Hook, &str); 5] = [
        ("on_switch", |w, on| w.sched.on_switch(move |_, _| once(&on)), "one"),
        ("on_channel", |w, on| w.sched.on_channel(move |_, _, _, _| once(&on)), "send"),
        ("on_trap", |w, on| w.sched.on_trap(move |_, _| once(&on)), "trap"),
        ("child_host", child_host, "spawn"),
        ("child_host", child_host, "fork"),
    ];
    for (name, hook, export) in hooks {
        let mut w = world();
        let current: Current = w.sched.current();
        let (first, partner) = (spawn(&mut w, export), spawn(&mut w, "receive"));
        let on = Arc::new(AtomicBool::new(true));
        hook(&mut w, on.clone());
        assert_eq!(panicked(&mut w), "a hook", "{name}");
        assert_eq!((current.get(), on.load(Ordering::Relaxed)), (None, false));
        assert_eq!(w.sched.ready(), [partner], "{name}");
        assert_eq!(w.sched.run_count(), 1, "{name}");
        if export != "trap" {
            assert!(w.sched.flags(first).paused, "{name}");
            w.sched.dump(first).unwrap();
            w.sched.insert(first).unwrap();
        }
        let result = w.sched.run(Budget::unlimited()).unwrap();
        let finished = |value| Some(Status::Finished(vec![Value::I32(value)]));
        let expected = match export {
            "one" => finished(50),
            "send" => finished(0),
            "trap" => w.sched.end(first).cloned().filter(|it| matches!(it, Status::Trapped(_))),
            _ => finished(1),
        };
        assert!(expected.is_some());
        assert_eq!(w.sched.end(first).cloned(), expected, "{name}");
        let is_over = match export {
            "send" => result == RunResult::Finished,
            _ => result == RunResult::Deadlock(vec![partner]),
        };
        assert!(is_over, "{name}: {result:?}");
    }
}

fn once(on: &AtomicBool) {
    if on.swap(false, Ordering::Relaxed) {
        panic!("a hook");
    }
}

fn child_host(w: &mut World, on: Arc<AtomicBool>) {
    let log = w.log.clone();
    w.sched.child_host(move |_| {
        once(&on);
        log.builder().func("test", "bad", &[], &[], |_, _| Ok(vec![])).build()
    });
}

/// One whose host import has panicked has ended, and nobody else.
#[test]
fn a_host_import_that_panics_takes_its_tasklet_with_it() {
    let mut w = world();
    let panics = Arc::new(AtomicBool::new(true));
    let host = host(&w, &panics);
    let spawned = w.of("bad").host(host);
    let bad = w.sched.spawn(&w.module, spawned).unwrap();
    let one = spawn(&mut w, "one");
    panicked(&mut w);
    assert_eq!((w.sched.tasklets(), w.sched.ready()), (vec![one], vec![one]));
    let gone = w.sched.dump(bad).unwrap_err();
    assert!(matches!(gone, Error::NoSuchTasklet { id } if id == bad), "{gone}");
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.sched.end(one), Some(&Status::Finished(vec![Value::I32(50)])));
}
