//! What goes wrong, and what is asked of tasklets that run.

use super::*;
use crate::sched::limits::POLL_NS;
use crate::store::Store;
use crate::{Digest, HostCtx};
use std::panic::{self, AssertUnwindSafe};

/// What goes wrong with one is told, and the others go on.
#[test]
fn panics_and_traps_are_contained() {
    let module = module_of(
        r#"(module
            (import "test" "panic" (func $panic))
            (func (export "panics") (call $panic))
            (func (export "traps") unreachable)
            (func (export "ends") (result i32) (i32.const 7)))"#,
    );
    let host = || {
        let panics = |_: &mut HostCtx<'_>, _: &[Value]| panic!("as it was told to");
        Host::builder().func("test", "panic", &[], &[], panics).build()
    };
    let sched = Scheduler::new(module.engine());
    let options = ExecutorOptions { workers: 2, slice_steps: 100 };
    let executor = Executor::start(sched, &options).unwrap();
    let ids = ["panics", "traps", "ends"].map(|export| {
        let spawn = Spawn::export(export).host(host());
        executor.with(|sched| sched.spawn(&module, spawn).unwrap())
    });
    assert_eq!(executor.wait(PATIENCE), Some(RunResult::Finished));
    let events = executor.take_events();
    let panicked = |event: &Event| {
        matches!(event, Event::Panicked(id, why)
        if *id == ids[0] && why == "as it was told to")
    };
    let trapped = |event: &Event| matches!(event, Event::Trapped(id, _) if *id == ids[1]);
    assert!(events.iter().any(panicked) && events.iter().any(trapped), "{events:?}");
    assert_eq!(events.len(), 2);
    // A hook that panics stops the executor, and nothing hangs.
    executor.with(|sched| sched.on_switch(|_, _| panic!("a hook")));
    executor.with(|sched| sched.spawn(&module, Spawn::export("ends").host(host())).unwrap());
    assert_eq!(executor.wait(PATIENCE), None);
    let (sched, events) = executor.drain(PATIENCE).unwrap();
    assert!(matches!(&events[..], [Event::WorkerPanicked(why), ..] if why == "a hook"));
    assert_eq!(sched.end(ids[2]), Some(&Status::Finished(vec![Value::I32(7)])));
}

/// One that runs for ever can be paused, and one whose import does not return keeps nobody waiting.
#[test]
fn nothing_waits_for_ever() {
    let module = module();
    let mut sched = Scheduler::new(module.engine());
    let forever = spawn(&mut sched, &module, "forever", 0);
    let options = ExecutorOptions { workers: 2, slice_steps: u64::MAX };
    let executor = Executor::start(sched, &options).unwrap();
    assert_eq!(executor.wait(Duration::from_millis(20)), None);
    assert!(executor.pause(forever, PATIENCE).unwrap());
    assert!(executor.with(|sched| sched.flags(forever).paused));
    executor.with(|sched| sched.kill(forever)).unwrap();
    assert!(matches!(executor.pause(forever, PATIENCE), Err(Error::NoSuchTasklet { .. })));
    let blocks = module_of(
        r#"(module (import "test" "block" (func $block)) (func (export "main") (call $block)))"#,
    );
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let host = Host::builder().func("test", "block", &[], &[], move |_, _| {
        let _ = released.lock().unwrap().recv();
        Ok(vec![])
    });
    let spawned = Spawn::export("main").host(host.build());
    let id = executor.with(|sched| sched.spawn(&blocks, spawned).unwrap());
    while executor.shared.running().is_empty() {
        thread::yield_now();
    }
    assert!(!executor.pause(id, Duration::from_millis(5)).unwrap());
    let unreachable = executor.with(|sched| sched.dump(id)).unwrap_err();
    assert!(matches!(unreachable, Error::CannotSchedule { .. }), "{unreachable:?}");
    // What runs is one of all, and cannot be left out.
    assert!(executor.with(|sched| sched.tasklets()).contains(&id));
    let all = executor.with(|sched| sched.dump_all(&mut Vec::new(), &Default::default()));
    assert!(matches!(all, Err(Error::CannotSchedule { .. })), "{all:?}");
    let late = executor.drain(Duration::from_millis(20)).unwrap_err();
    assert_eq!(late.running, [id]);
    release.send(()).unwrap();
    let (sched, _) = late.executor.drain(PATIENCE).unwrap();
    assert!(sched.end(id).is_some() || sched.flags(id).alive);
    let refused = Executor::start(sched, &ExecutorOptions { workers: 0, slice_steps: 1 });
    assert!(matches!(refused.unwrap_err().error, Error::Limit { .. }));
}

/// A store that cannot do what it is told it cannot.
struct Broken {
    inner: MemoryStore,
    puts: bool,
    gets: bool,
}

impl Store for Broken {
    fn put(&mut self, key: u64, bytes: &[u8]) -> Result<(), Error> {
        self.puts.then_some(()).ok_or_else(|| Error::Store("full".into()))?;
        self.inner.put(key, bytes)
    }

    fn get(&mut self, key: u64) -> Result<Option<Vec<u8>>, Error> {
        self.gets.then_some(()).ok_or_else(|| Error::Store("out of order".into()))?;
        self.inner.get(key)
    }

    fn remove(&mut self, key: u64) -> Result<(), Error> {
        self.inner.remove(key)
    }

    fn keys(&mut self) -> Result<Vec<u64>, Error> {
        self.inner.keys()
    }

    fn put_module(&mut self, hash: Digest, wasm: &[u8]) -> Result<(), Error> {
        self.inner.put_module(hash, wasm)
    }

    fn get_module(&mut self, hash: Digest) -> Result<Option<Vec<u8>>, Error> {
        self.inner.get_module(hash)
    }
}

/// Two that talk; the first waits already.
fn pair(module: &Module) -> (Scheduler, [TaskletId; 2]) {
    let mut sched = Scheduler::new(module.engine());
    let there = sched.channel("there", ChannelOptions::default()).unwrap();
    let back = sched.channel("back", ChannelOptions::default()).unwrap();
    let ids = ["answer", "ask"].map(|export| {
        let spawn = Spawn::export(export).channel("a", there).channel("b", back);
        let spawn = spawn.argument(&3u32.to_le_bytes()).host(host(&Notes::default()));
        let id = sched.spawn(module, spawn).unwrap();
        if export == "answer" {
            sched.run(Budget::unlimited()).unwrap();
        }
        id
    });
    (sched, ids)
}

/// Who is handed over to has used up its quota, or cannot come back: it is that one which is paused.
#[test]
fn who_is_handed_over_to_is_held_to_account() {
    let module = module();
    let (sched, [answer, ask]) = pair(&module);
    let options = ExecutorOptions { workers: 1, slice_steps: 1000 };
    let mut crew = Crew::new(sched, &options);
    let granted = crew.sched.tasklet(answer).unwrap().granted();
    crew.set_quota(answer, &Quota { share: 1, steps: None, time: Some(Duration::ZERO) });
    crew = simulate_on(crew, 1, 1, usize::MAX);
    assert!(matches!(crew.take_events()[..], [Event::UsedUp(id)] if id == answer));
    assert_eq!(crew.sched.tasklet(answer).unwrap().granted(), granted);
    assert!(crew.sched.flags(answer).paused && crew.sched.flags(ask).blocked);
    let (mut sched, [answer, ask]) = pair(&module);
    let store = Broken { inner: MemoryStore::new(), puts: true, gets: false };
    sched.set_store(store, Hibernation::never()).unwrap();
    sched.hibernate(answer).unwrap();
    let mut crew = simulate(sched, 1, 1, 1000, usize::MAX);
    assert!(matches!(&crew.take_events()[..],
        [Event::Failed(id, Error::Store(_))] if *id == answer));
    assert!(crew.sched.flags(answer).paused && crew.sched.flags(ask).blocked);
}

/// A store that is full is not asked at every turn, and does not drown what else has happened.
#[test]
fn a_full_store_is_left_alone_for_a_while() {
    let module = module();
    let (mut sched, all) = crowd(&module);
    let store = Broken { inner: MemoryStore::new(), puts: false, gets: true };
    sched.set_store(store, Hibernation::after_turns(0)).unwrap();
    let mut crew = simulate(sched, 5, 2, 200, usize::MAX);
    assert!(matches!(crew.take_events()[..], [Event::HibernationFailed(Error::Store(_))]));
    assert!(matches!(crew.sched.end(all[0]), Some(Status::Finished(_))));
}

/// A hook that panics takes nobody with it: all are there, can be dumped, and go on.
#[test]
fn a_hook_that_panics_loses_nobody() {
    let module = module();
    let (mut sched, all) = crowd(&module);
    sched.run(Budget::unlimited()).unwrap();
    let expected = ends(&mut sched, &all);
    for calls in [0, 1, 2, 5, 9] {
        for on_switch in [false, true] {
            let (mut sched, all) = crowd(&module);
            let mut left = calls;
            let mut panic_then = move || {
                left -= 1;
                assert!(left >= 0, "a hook");
            };
            match on_switch {
                true => sched.on_switch(move |_, _| panic_then()),
                false => sched.on_channel(move |_, _, _, _| panic_then()),
            }
            let options = ExecutorOptions { workers: 2, slice_steps: 30 };
            let executor = Executor::start(sched, &options).unwrap();
            assert_eq!(executor.wait(PATIENCE), None);
            let (mut sched, events) = executor.drain(PATIENCE).unwrap();
            assert!(matches!(&events[..], [Event::WorkerPanicked(_), ..]), "{events:?}");
            sched.on_switch(|_, _| ());
            sched.on_channel(|_, _, _, _| ());
            sched.dump_all(&mut Vec::new(), &Default::default()).unwrap();
            for id in sched.tasklets() {
                if sched.flags(id).paused {
                    sched.insert(id).unwrap();
                }
            }
            sched.run(Budget::unlimited()).unwrap();
            assert!(course(&ends(&mut sched, &all)) == course(&expected), "{calls}");
        }
    }
}

/// Whoever pauses one that comes to wait meanwhile has it wait, and not interrupted much later.
#[test]
fn to_pause_is_over_when_it_returns() {
    let module = module_of(
        r#"(module
            (import "test" "block" (func $block))
            (import "tasklet" "receive" (func $receive (param i32 i32 i32) (result i64)))
            (memory (export "memory") 1)
            (func (export "main") (result i64)
              (call $block)
              (call $receive (i32.const 0) (i32.const 0) (i32.const 4))))"#,
    );
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let host = Host::builder().func("test", "block", &[], &[], move |_, _| {
        let _ = released.lock().unwrap().recv();
        Ok(vec![])
    });
    let mut sched = Scheduler::new(module.engine());
    let c = sched.channel("c", ChannelOptions::default()).unwrap();
    let spawn = Spawn::export("main").host(host.build()).channel("c", c);
    let id = sched.spawn(&module, spawn).unwrap();
    let options = ExecutorOptions { workers: 1, slice_steps: u64::MAX };
    let executor = Executor::start(sched, &options).unwrap();
    while executor.shared.running().is_empty() {
        thread::yield_now();
    }
    thread::scope(|scope| {
        let paused = scope.spawn(|| executor.pause(id, PATIENCE).unwrap());
        while executor.shared.lock().watching == 0 {
            thread::yield_now();
        }
        release.send(()).unwrap();
        assert!(paused.join().unwrap());
    });
    assert!(executor.with(|sched| sched.flags(id).blocked));
    executor.with(|sched| sched.try_send(c, Message::Data(vec![5])).unwrap());
    executor.wait(PATIENCE);
    let (sched, events) = executor.drain(PATIENCE).unwrap();
    assert!(events.is_empty(), "{events:?}");
    assert_eq!(sched.end(id), Some(&Status::Finished(vec![Value::I64(1)])));
}

/// What somebody has spawned who then panics is run.
#[test]
fn who_panics_between_turns_leaves_the_others_running() {
    let module = module();
    let options = ExecutorOptions { workers: 1, slice_steps: 1000 };
    let executor = Executor::start(Scheduler::new(module.engine()), &options).unwrap();
    while executor.shared.lock().parked == 0 {
        thread::yield_now();
    }
    let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
        executor.with(|sched| {
            spawn(sched, &module, "sum", 10);
            panic!("between turns");
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(executor.wait(Duration::from_secs(10)), Some(RunResult::Finished));
}

/// A run of somebody's own, between turns, in which a hook panics leaves alone who runs elsewhere.
#[test]
fn a_run_between_turns_that_panics_leaves_the_others_running() {
    let module = module_of(
        r#"(module
            (func (export "forever") (loop (br 0)))
            (func (export "ends")))"#,
    );
    let options = ExecutorOptions { workers: 1, slice_steps: 1 << 40 };
    let executor = Executor::start(Scheduler::new(module.engine()), &options).unwrap();
    let id = executor.with(|sched| sched.spawn(&module, Spawn::export("forever")).unwrap());
    while executor.with(|sched| !sched.ready().is_empty()) {
        thread::yield_now();
    }
    executor.with(|sched| {
        sched.spawn(&module, Spawn::export("ends")).unwrap();
        sched.on_switch(|_, _| panic!("as it was told to"));
        let run = panic::catch_unwind(AssertUnwindSafe(|| sched.run(Budget::unlimited()).is_ok()));
        assert!(run.is_err());
        sched.on_switch(|_, _| ());
    });
    assert!(executor.pause(id, PATIENCE).unwrap());
    let (sched, _) = executor.drain(PATIENCE).unwrap();
    assert!(sched.flags(id).paused);
}

/// However many have nothing to do, one of them looks after those that wait.
#[test]
fn one_of_those_that_wait_looks_for_all() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let module = module_of(
        r#"(module (import "test" "never" (func $never)) (func (export "main") (call $never)))"#,
    );
    let polls = Arc::new(AtomicU64::new(0));
    let counted = polls.clone();
    let host = Host::builder().suspending("test", "never", &[], &[], move |_, _| {
        let counted = counted.clone();
        Ok(std::future::poll_fn(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            std::task::Poll::<Result<Vec<Value>, crate::HostError>>::Pending
        }))
    });
    let mut sched = Scheduler::new(module.engine());
    sched.spawn(&module, Spawn::export("main").host(host.build())).unwrap();
    let options = ExecutorOptions { workers: 16, slice_steps: 1000 };
    let begun = Instant::now();
    let executor = Executor::start(sched, &options).unwrap();
    assert_eq!(executor.wait(Duration::from_millis(300)), None);
    let polls = polls.load(Ordering::Relaxed);
    let most = begun.elapsed().as_nanos() / u128::from(POLL_NS) + 3;
    assert!(polls > 2 && u128::from(polls) <= most, "{polls} of {most}");
    executor.drain(PATIENCE).unwrap();
}
