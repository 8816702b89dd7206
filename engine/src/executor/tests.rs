//! The executor against the scheduler that it runs: whatever the workers do when, tasklets whose
//! results do not depend on who comes first come to the same.

use std::sync::mpsc;

use super::crew::{Crew, Stretch};
use super::*;
use crate::sched::{Budget, ChannelOptions, Hibernation, Spawn};
use crate::store::{MemoryStore, Store};
use crate::tasklet::Ran;
use crate::{CacheMode, Digest, Engine, EngineOptions, Host, Message, Module, Status, Value};

const PATIENCE: Duration = Duration::from_secs(120);

const GUESTS: &str = r#"(module
    (import "tasklet" "argument" (func $argument (param i32 i32) (result i32)))
    (import "tasklet" "yield" (func $yield (result i32)))
    (import "tasklet" "atomic" (func $atomic (param i32) (result i32)))
    (import "tasklet" "send" (func $send (param i32 i32 i32) (result i32)))
    (import "tasklet" "receive" (func $receive (param i32 i32 i32) (result i64)))
    (import "tasklet" "spawn" (func $spawn (param i32 i32 i32 i32) (result i64)))
    (memory (export "memory") 1)
    (data (i32.const 100) "child")
    (func $given (result i32)
      (drop (call $argument (i32.const 16) (i32.const 4)))
      (i32.load (i32.const 16)))
    (func $sum (param $n i32) (result i32) (local $sum i32)
      (loop $l
        (local.set $sum (i32.add (local.get $sum) (local.get $n)))
        (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (local.get $sum))
    (func (export "sum") (result i32) (call $sum (call $given)))
    (func (export "forever") (loop $l (br $l)))
    (func (export "child") (drop (call $sum (i32.const 50))))
    (func (export "parent") (result i32) (local $i i32)
      (loop $l
        (drop (call $spawn (i32.const 100) (i32.const 5) (i32.const 0) (i32.const 0)))
        (drop (call $yield))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 5))))
      (local.get $i))
    (func (export "ask") (result i32) (local $i i32) (local $sum i32)
      (loop $l
        (i32.store (i32.const 32) (local.get $i))
        (drop (call $send (i32.const 0) (i32.const 32) (i32.const 4)))
        (drop (call $receive (i32.const 1) (i32.const 32) (i32.const 4)))
        (local.set $sum (i32.add (local.get $sum) (i32.load (i32.const 32))))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (call $given))))
      (local.get $sum))
    ;; Sends back each number, and what it adds up to, summed in an atomic section.
    (func (export "answer") (local $before i32)
      (loop $l
        (drop (call $receive (i32.const 0) (i32.const 32) (i32.const 4)))
        (local.set $before (call $atomic (i32.const 1)))
        (i32.store (i32.const 32) (call $sum (i32.add (i32.load (i32.const 32)) (i32.const 1))))
        (drop (call $atomic (local.get $before)))
        (drop (call $send (i32.const 1) (i32.const 32) (i32.const 4)))
        (br $l))))"#;

fn module() -> Module {
    module_of(GUESTS)
}

fn module_of(wat: &str) -> Module {
    let options = EngineOptions { cache: CacheMode::Off, ..EngineOptions::default() };
    let engine = Engine::new(&options).unwrap();
    Module::load(&engine, &wat::parse_str(wat).unwrap()).unwrap()
}

fn spawn(sched: &mut Scheduler, module: &Module, export: &str, given: u32) -> TaskletId {
    sched.spawn(module, Spawn::export(export).argument(&given.to_le_bytes())).unwrap()
}

/// Some that count, some that spawn, and pairs that talk; the answering ones never end.
fn crowd(module: &Module) -> (Scheduler, Vec<TaskletId>) {
    let mut sched = Scheduler::new(module.engine());
    let mut all: Vec<TaskletId> =
        (1..5).map(|n| spawn(&mut sched, module, "sum", n * 200)).collect();
    all.push(spawn(&mut sched, module, "parent", 0));
    for pair in 0..3u32 {
        let there = sched.channel(&format!("there {pair}"), ChannelOptions::default()).unwrap();
        let back = sched.channel(&format!("back {pair}"), ChannelOptions::default()).unwrap();
        for export in ["ask", "answer"] {
            let spawn = Spawn::export(export).channel("a", there).channel("b", back);
            all.push(sched.spawn(module, spawn.argument(&(5 + pair).to_le_bytes())).unwrap());
        }
    }
    (sched, all)
}

/// What became of each: how it ended, or what it is.
fn ends(sched: &mut Scheduler, all: &[TaskletId]) -> Vec<Result<Status, Vec<u8>>> {
    let end = |id: &TaskletId| match sched.end(*id).cloned() {
        Some(status) => Ok(status),
        None => Err(sched.dump(*id).expect("all that has not ended is here, and can be dumped")),
    };
    all.iter().map(end).collect()
}

/// What each did, but for steps that are on account.
fn course(ends: &[Result<Status, Vec<u8>>]) -> Vec<Option<&Status>> {
    ends.iter().map(|end| end.as_ref().ok()).collect()
}

fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    move |below| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    }
}

/// What a worker of the simulation is about to do.
enum Hand {
    Free(Option<TaskletId>),
    Lent(Lent),
    Ran(Lent, Stretch),
}

/// Lets workers act one at a time, in an order that a seed decides, `acts` times or until nothing is
/// left to do; then stops them.
fn simulate(sched: Scheduler, seed: u64, workers: usize, slice: u64, acts: usize) -> Crew {
    let options = ExecutorOptions { workers, slice_steps: slice };
    simulate_on(Crew::new(sched, &options), seed, workers, acts)
}

fn simulate_on(mut crew: Crew, seed: u64, workers: usize, acts: usize) -> Crew {
    let mut hands: Vec<Hand> = (0..workers).map(|_| Hand::Free(None)).collect();
    let mut number = numbers(seed);
    let stack_bytes = crew.sched.stack_bytes();
    for act in 0.. {
        let is_free = hands.iter().all(|hand| matches!(hand, Hand::Free(_)));
        crew.stopping |= act >= acts;
        if is_free && (crew.stopping || crew.is_at_rest()) {
            break;
        }
        let worker = number(workers);
        let hand = std::mem::replace(&mut hands[worker], Hand::Free(None));
        hands[worker] = match hand {
            Hand::Free(before) => match crew.next(worker, before) {
                Some(lent) => Hand::Lent(lent),
                None => Hand::Free(None),
            },
            Hand::Lent(mut lent) => {
                let ran = lent.run(stack_bytes);
                Hand::Ran(lent, Stretch::Ran(ran))
            }
            Hand::Ran(lent, stretch) => {
                let id = lent.id();
                match crew.back(worker, lent, stretch, Duration::ZERO) {
                    Some(lent) => Hand::Lent(lent),
                    None => Hand::Free(Some(id)),
                }
            }
        };
    }
    for hand in hands {
        if let Hand::Free(before) = hand {
            crew.rests(before);
        }
    }
    crew
}

#[test]
fn whoever_does_what_when_all_come_to_the_same() {
    let module = module();
    let (mut sched, all) = crowd(&module);
    let result = sched.run(Budget::steps(500).round_robin()).unwrap();
    assert!(matches!(&result, RunResult::Deadlock(blocked) if blocked.len() == 3));
    let expected = ends(&mut sched, &all);
    assert!(matches!(&expected[3], Ok(Status::Finished(v)) if *v == [Value::I32(320_400)]));
    for seed in 0..60 {
        let workers = 1 + seed as usize % 5;
        let slice = [1, 13, 100, 5000][seed as usize / 5 % 4];
        let (sched, all) = crowd(&module);
        let mut crew = simulate(sched, seed, workers, slice, usize::MAX);
        let found = ends(&mut crew.sched, &all);
        assert!(course(&found) == course(&expected), "seed {seed}");
        assert_eq!(crew.sched.at_rest(), result, "seed {seed}");
        assert!(crew.take_events().is_empty());
    }
}

/// With one worker it is the scheduler's own run: the same order, the same snapshots.
#[test]
fn one_worker_is_the_reference() {
    let module = module();
    for slice in [1, 50, 777, 100_000] {
        let (switches, ended): (Vec<_>, Vec<_>) = [false, true]
            .map(|simulated| {
                let (mut sched, all) = crowd(&module);
                sched.set_store(MemoryStore::new(), Hibernation::after_turns(2)).unwrap();
                let (send, noted) = mpsc::channel();
                sched.on_switch(move |before, next| send.send((before, next)).unwrap());
                if simulated {
                    sched = simulate(sched, 7, 1, slice, usize::MAX).give_up();
                } else {
                    sched.run(Budget::steps(slice).round_robin()).unwrap();
                }
                (noted.try_iter().collect::<Vec<_>>(), ends(&mut sched, &all))
            })
            .into_iter()
            .unzip();
        assert!(switches[0].len() > 20);
        assert_eq!(switches[0], switches[1], "slice {slice}");
        assert!(ended[0] == ended[1], "slice {slice}");
    }
}

/// Stopped at any moment, everything is there and goes on elsewhere.
#[test]
fn a_drain_loses_nothing() {
    let module = module();
    let (mut sched, all) = crowd(&module);
    sched.run(Budget::unlimited()).unwrap();
    let expected = ends(&mut sched, &all);
    for acts in (0..400).step_by(7) {
        let (sched, all) = crowd(&module);
        let mut sched = simulate(sched, acts as u64, 3, 90, acts).give_up();
        for id in sched.tasklets() {
            sched.dump(id).unwrap();
            sched.restorable(id).unwrap();
        }
        sched.run(Budget::unlimited()).unwrap();
        assert!(course(&ends(&mut sched, &all)) == course(&expected), "after {acts}");
    }
}

#[test]
fn threads_come_to_the_same() {
    let module = module();
    let (mut sched, all) = crowd(&module);
    let result = sched.run(Budget::unlimited()).unwrap();
    let expected = ends(&mut sched, &all);
    for workers in [1, 2, 4] {
        for slice in [100, 100_000] {
            let (sched, all) = crowd(&module);
            let options = ExecutorOptions { workers, slice_steps: slice };
            let executor = Executor::start(sched, &options).unwrap();
            assert_eq!(executor.workers(), workers);
            assert_eq!(executor.wait(PATIENCE), Some(result.clone()));
            // One that comes later is run, too.
            let late = executor.with(|sched| spawn(sched, &module, "sum", 10));
            assert!(executor.wait(PATIENCE).is_some());
            let (mut sched, events) = executor.drain(PATIENCE).unwrap();
            assert!(events.is_empty(), "{events:?}");
            assert_eq!(sched.end(late), Some(&Status::Finished(vec![Value::I32(55)])));
            assert!(course(&ends(&mut sched, &all)) == course(&expected));
        }
    }
}

/// Turns are as long as shares, and steps end to the step.
#[test]
fn shares_and_quotas() {
    let module = module();
    let mut sched = Scheduler::new(module.engine());
    let ids = [(); 3].map(|()| spawn(&mut sched, &module, "forever", 0));
    let mut crew = Crew::new(sched, &ExecutorOptions { workers: 2, slice_steps: 100 });
    let quota = Quota { share: 3, steps: None, time: None };
    crew.set_quota(ids[1], &quota);
    crew.set_quota(ids[2], &Quota { share: 2, steps: Some(1234), time: None });
    let stack_bytes = crew.sched.stack_bytes();
    for _ in 0..200 {
        let mut lent = crew.next(0, None).expect("two never end");
        let ran = lent.run(stack_bytes);
        assert!(matches!(ran, Ok((Ran::OutOfBudget, _))));
        assert!(crew.back(0, lent, Stretch::Ran(ran), Duration::ZERO).is_none());
    }
    let granted = ids.map(|id| crew.sched.tasklet(id).unwrap().granted());
    assert_eq!(granted[2], 1234);
    assert!(granted[0] > 5000 && granted[1].abs_diff(3 * granted[0]) <= 300, "{granted:?}");
    assert!(matches!(crew.take_events()[..], [Event::UsedUp(id)] if id == ids[2]));
    // Without more it does not go on.
    crew.sched.insert(ids[2]).unwrap();
    crew.sched.remove(ids[0]).unwrap();
    crew.sched.remove(ids[1]).unwrap();
    assert!(crew.next(0, None).is_none());
    assert!(crew.sched.flags(ids[2]).paused && crew.take_events().len() == 1);
    let time = Some(Duration::from_millis(1));
    crew.set_quota(ids[0], &Quota { share: 1, steps: None, time });
    crew.sched.insert(ids[0]).unwrap();
    let mut lent = crew.next(0, None).unwrap();
    let ran = lent.run(stack_bytes);
    crew.back(0, lent, Stretch::Ran(ran), Duration::from_millis(2));
    assert!(crew.next(0, None).is_none());
    assert!(matches!(crew.take_events()[..], [Event::UsedUp(id)] if id == ids[0]));
}

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
        let panics = |_: &mut crate::HostCtx<'_>, _: &[Value]| panic!("as it was told to");
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
    while executor.shared.lock().running().is_empty() {
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
        let id = sched.spawn(module, spawn.argument(&3u32.to_le_bytes())).unwrap();
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
    while executor.shared.lock().running().is_empty() {
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
    let most = begun.elapsed().as_nanos() / ASK_AGAIN.as_nanos() + 3;
    assert!(polls > 2 && u128::from(polls) <= most, "{polls} of {most}");
    executor.drain(PATIENCE).unwrap();
}
