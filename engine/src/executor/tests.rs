//! The executor against the scheduler that it runs: whatever the workers do when, tasklets whose
//! results do not depend on who comes first come to the same.

mod faults;
mod lines;
mod waits;

use std::sync::{Mutex, PoisonError, mpsc};

use super::crew::{Crew, Stretch};
use super::line::Charge;
use super::shared::Own;
use super::*;
use crate::sched::{Budget, ChannelOptions, Hibernation, Spawn};
use crate::store::MemoryStore;
use crate::{
    CacheMode, Engine, EngineOptions, Host, HostCtx, Message, Module, Status, ValType, Value,
};

const PATIENCE: Duration = Duration::from_secs(120);

const GUESTS: &str = r#"(module
    (import "tasklet" "argument" (func $argument (param i32 i32) (result i32)))
    (import "tasklet" "yield" (func $yield (result i32)))
    (import "tasklet" "atomic" (func $atomic (param i32) (result i32)))
    (import "tasklet" "send" (func $send (param i32 i32 i32) (result i32)))
    (import "tasklet" "receive" (func $receive (param i32 i32 i32) (result i64)))
    (import "tasklet" "spawn" (func $spawn (param i32 i32 i32 i32) (result i64)))
    (import "tasklet" "id" (func $id (result i64)))
    (import "test" "note" (func $note (param i64)))
    (memory (export "memory") 1)
    (data (i32.const 100) "child")
    (func $given (result i32)
      (drop (call $argument (i32.const 16) (i32.const 4)))
      (i32.load (i32.const 16)))
    (func $sum (param $n i32) (result i32) (local $sum i32)
      (call $note (call $id))
      (loop $l
        (if (i32.eqz (i32.rem_u (local.get $n) (i32.const 8))) (then (call $note (call $id))))
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

/// The numbers of those that ran, in the order in which they came by.
type Notes = Arc<Mutex<Vec<i64>>>;

fn host(notes: &Notes) -> Host {
    let notes = notes.clone();
    let note = move |_: &mut HostCtx<'_>, args: &[Value]| {
        let [Value::I64(id)] = args else { panic!("{args:?}") };
        notes.lock().unwrap().push(*id);
        Ok(vec![])
    };
    Host::builder().func("test", "note", &[ValType::I64], &[], note).build()
}

fn spawn(sched: &mut Scheduler, module: &Module, export: &str, given: u32) -> TaskletId {
    let spawn = Spawn::export(export).argument(&given.to_le_bytes());
    sched.spawn(module, spawn.host(host(&Notes::default()))).unwrap()
}

/// Some that count, some that spawn, and pairs that talk; the answering ones never end.
fn crowd(module: &Module) -> (Scheduler, Vec<TaskletId>) {
    noted_crowd(module, &Notes::default())
}

/// The same; each notes who it is as it goes along.
fn noted_crowd(module: &Module, notes: &Notes) -> (Scheduler, Vec<TaskletId>) {
    let mut sched = Scheduler::new(module.engine());
    let of_child = notes.clone();
    sched.child_host(move |_| host(&of_child));
    let counts = (1..5).map(|n| ("sum", n * 200)).chain([("parent", 0u32)]);
    let spawn = |(export, given): (&str, u32)| {
        let spawn = Spawn::export(export).argument(&given.to_le_bytes());
        sched.spawn(module, spawn.host(host(notes))).unwrap()
    };
    let mut all: Vec<TaskletId> = counts.map(spawn).collect();
    for pair in 0..3u32 {
        let there = sched.channel(&format!("there {pair}"), ChannelOptions::default()).unwrap();
        let back = sched.channel(&format!("back {pair}"), ChannelOptions::default()).unwrap();
        for export in ["ask", "answer"] {
            let spawn = Spawn::export(export).channel("a", there).channel("b", back);
            let spawn = spawn.argument(&(5 + pair).to_le_bytes()).host(host(notes));
            all.push(sched.spawn(module, spawn).unwrap());
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
    Lent(Charge),
    Ran(Charge, Stretch),
}

/// Lets workers act one at a time, in an order that a seed decides, `acts` times or until nothing is
/// left to do; then stops them. Now and then somebody looks at the scheduler in between.
fn simulate(sched: Scheduler, seed: u64, workers: usize, slice: u64, acts: usize) -> Crew {
    let options = ExecutorOptions { workers, slice_steps: slice };
    simulate_on(Crew::new(sched, &options), seed, workers, acts)
}

fn simulate_on(crew: Crew, seed: u64, workers: usize, acts: usize) -> Crew {
    let shared = Shared::of(crew, workers);
    let mut hands: Vec<Hand> = (0..workers).map(|_| Hand::Free(None)).collect();
    let mut number = numbers(seed);
    for act in 0.. {
        let is_free = hands.iter().all(|hand| matches!(hand, Hand::Free(_)));
        if act >= acts {
            drop(shared.stop());
        }
        if is_free && (act >= acts || shared.lock().is_at_rest()) {
            break;
        }
        if number(30) == 0 {
            let sched = &mut shared.recall().sched;
            let ready = sched.ready();
            let all = sched.tasklets();
            let id = all[number(all.len())];
            // NB: a dump is not, for the next snapshot names it.
            let is_running = shared.running().contains(&id);
            assert_eq!(sched.tasklet_mut(id).is_none(), is_running, "{id} of {ready:?}");
        }
        let worker = number(workers);
        let hand = std::mem::replace(&mut hands[worker], Hand::Free(None));
        hands[worker] = one_act(&shared, worker, hand, number(10) == 0);
    }
    for hand in hands {
        if let Hand::Free(before) = hand {
            shared.lock().rests(before);
        }
    }
    drop(shared.recall());
    shared.crew.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn one_act(shared: &Shared, worker: usize, hand: Hand, has_news: bool) -> Hand {
    match hand {
        Hand::Free(before) => match shared.look(&mut shared.lock(), worker, before, has_news) {
            Some(charge) => Hand::Lent(charge),
            None => Hand::Free(None),
        },
        Hand::Lent(mut charge) => {
            let ran = charge.lent.run(1 << 20);
            Hand::Ran(charge, Stretch::Ran(ran))
        }
        Hand::Ran(charge, stretch) => {
            let id = charge.lent.id();
            match shared.keep(worker, charge, &stretch, has_news) {
                Own::Next(charge) => Hand::Lent(charge),
                Own::Look => Hand::Free(Some(id)),
                Own::Decide(charge) => {
                    let mut crew = shared.lock();
                    match shared.decide(&mut crew, worker, charge, stretch, Duration::ZERO) {
                        Some(charge) => Hand::Lent(charge),
                        None => Hand::Free(Some(id)),
                    }
                }
            }
        }
    }
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

/// With one worker it is the scheduler's own run: the same order, the same snapshots; whether each
/// turn is heard of, or is for the worker's line alone to say.
#[test]
fn one_worker_is_the_reference() {
    let module = module();
    let slices = [1, 50, 777, 100_000];
    for (slice, is_heard) in slices.into_iter().flat_map(|slice| [(slice, true), (slice, false)]) {
        let (noted, ended): (Vec<_>, Vec<_>) = [false, true]
            .map(|simulated| {
                let notes = Notes::default();
                let (mut sched, all) = noted_crowd(&module, &notes);
                let (send, switches) = mpsc::channel();
                if is_heard {
                    sched.set_store(MemoryStore::new(), Hibernation::after_turns(2)).unwrap();
                    sched.on_switch(move |before, next| send.send((before, next)).unwrap());
                }
                if simulated {
                    sched = simulate(sched, 7, 1, slice, usize::MAX).give_up();
                } else {
                    sched.run(Budget::steps(slice).round_robin()).unwrap();
                }
                let notes = std::mem::take(&mut *notes.lock().unwrap());
                ((switches.try_iter().collect::<Vec<_>>(), notes), ends(&mut sched, &all))
            })
            .into_iter()
            .unzip();
        assert!(!is_heard || noted[0].0.len() > 20);
        assert!(noted[0].1.len() > 200, "{:?}", noted[0].1.len());
        assert!(noted[0] == noted[1], "order, slice {slice}, {is_heard}");
        assert!(ended[0] == ended[1], "slice {slice}, {is_heard}");
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
