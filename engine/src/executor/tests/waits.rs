//! Those that wait for time, for others, for host imports or in a store, under an executor that is
//! stopped at any moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};

use super::*;
use crate::sched::{Clock, SetOptions};
use crate::{HostError, MonotonicClock};

const GUESTS: &str = r#"(module
    (import "tasklet" "argument" (func $argument (param i32 i32) (result i32)))
    (import "tasklet" "yield" (func $yield (result i32)))
    (import "tasklet" "sleep" (func $sleep (param i64) (result i32)))
    (import "tasklet" "run" (func $run (param i64) (result i64)))
    (import "tasklet" "spawn" (func $spawn (param i32 i32 i32 i32) (result i64)))
    (import "tasklet" "send_timeout" (func $send (param i32 i32 i32 i64) (result i32)))
    (import "tasklet" "receive_timeout" (func $receive (param i32 i32 i32 i64) (result i64)))
    (memory (export "memory") 1)
    (data (i32.const 100) "child")
    (func $given (result i64)
      (drop (call $argument (i32.const 16) (i32.const 8)))
      (i64.load (i32.const 16)))
    (func $count (param $n i32) (result i32) (local $sum i32)
      (loop $l
        (local.set $sum (i32.add (local.get $sum) (local.get $n)))
        (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (local.get $sum))
    ;; Sleeps and counts, three times.
    (func (export "sleeps") (result i32) (local $i i32) (local $sum i32)
      (loop $l
        (drop (call $sleep (call $given)))
        (local.set $sum (i32.add (local.get $sum) (call $count (i32.const 9))))
        (drop (call $yield))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3))))
      (local.get $sum))
    ;; What comes of a wait no longer than its argument, and then the message.
    (func (export "receives") (result i64 i32)
      (call $receive (i32.const 0) (i32.const 32) (i32.const 4) (call $given))
      (i32.load (i32.const 32)))
    ;; Sends after so long, and waits for ten nanoseconds at most.
    (func (export "sends") (result i32)
      (i32.store (i32.const 32) (i32.add (call $count (i32.const 7)) (call $sleep (call $given))))
      (call $send (i32.const 0) (i32.const 32) (i32.const 4) (i64.const 10)))
    (func (export "child") (drop (call $count (i32.const 12))) (drop (call $sleep (i64.const 3))))
    ;; Has two children run, and whoever else there is, in slices of its argument.
    (func (export "runs") (result i64)
      (drop (call $spawn (i32.const 100) (i32.const 5) (i32.const 0) (i32.const 0)))
      (drop (call $spawn (i32.const 100) (i32.const 5) (i32.const 0) (i32.const 0)))
      (i64.add (call $run (call $given)) (i64.extend_i32_s (call $count (i32.const 5))))))"#;

/// With a clock that moves when nobody can run, if it is deterministic.
fn module(deterministic: bool) -> Module {
    let options = EngineOptions { cache: CacheMode::Off, deterministic, ..Default::default() };
    let engine = Engine::new(&options).unwrap();
    Module::load(&engine, &wat::parse_str(GUESTS).unwrap()).unwrap()
}

fn crowd(module: &Module) -> (Scheduler, Vec<TaskletId>) {
    let mut sched = Scheduler::new(module.engine());
    sched.set_store(MemoryStore::new(), Hibernation::after_turns(1)).unwrap();
    let mut all = Vec::new();
    let mut spawn = |sched: &mut Scheduler, export: &str, given: u64, channel| {
        let spawn = Spawn::export(export).argument(&given.to_le_bytes()).channel("c", channel);
        all.push(sched.spawn(module, spawn).unwrap());
    };
    for (pair, (receives, sends)) in (0..).zip([(500, 20u64), (20, 500), (60, 55)]) {
        let channel = sched.channel(&format!("c{pair}"), ChannelOptions::default()).unwrap();
        spawn(&mut sched, "receives", receives, channel);
        spawn(&mut sched, "sends", sends, channel);
        spawn(&mut sched, "sleeps", 7 + pair, channel);
        spawn(&mut sched, "runs", pair * 40, channel);
    }
    (sched, all)
}

fn results(sched: &Scheduler, all: &[TaskletId]) -> Vec<Option<Status>> {
    all.iter().map(|id| sched.end(*id).cloned()).collect()
}

/// Time, timeouts, runs within runs and hibernation come to the same whatever workers do when, and
/// wherever they are stopped, written down and go on from what was written.
#[test]
fn waits_come_to_the_same_wherever_they_are_stopped() {
    let module = module(true);
    let (mut sched, all) = crowd(&module);
    assert_eq!(sched.run(Budget::steps(50).round_robin()).unwrap(), RunResult::Finished);
    let expected = results(&sched, &all);
    let timed_out = Some(Status::Finished(vec![Value::I64(-7), Value::I32(0)]));
    let received = Some(Status::Finished(vec![Value::I64(4), Value::I32(28)]));
    assert_eq!([&expected[0], &expected[4], &expected[8]], [&received, &timed_out, &received]);
    assert_eq!(expected[3], Some(Status::Finished(vec![Value::I64(15)])));
    for (seed, slice) in (0u64..).zip([1, 1, 3, 10, 50, 1000]) {
        let workers = 1 + seed as usize % 3;
        for stop in (0..).map(|stop| stop * 13) {
            let (sched, _) = crowd(&module);
            let mut crew = simulate(sched, seed, workers, slice, stop);
            let at = format!("seed {seed}, slice {slice}, {workers} workers, after {stop}");
            assert!(crew.take_events().is_empty(), "{at}");
            let was_over = crew.is_at_rest();
            let mut sched = crew.give_up();
            let ended = results(&sched, &all);
            let mut bytes = Vec::new();
            sched.dump_all(&mut bytes, &Default::default()).unwrap();
            let mut again = Scheduler::new(module.engine());
            again.load_set(&bytes, SetOptions::default().module(&module)).unwrap();
            again.run(Budget::steps(slice).round_robin()).unwrap();
            let went_on = results(&again, &all);
            let found: Vec<_> = ended.into_iter().zip(went_on).map(|(a, b)| a.or(b)).collect();
            assert!(found == expected, "{at}: {found:?}");
            if was_over {
                break;
            }
        }
    }
}

/// The same on threads, by either clock; virtual time costs none, however much of it there is.
#[test]
fn waits_come_to_the_same_on_threads() {
    let begun = Instant::now();
    for deterministic in [true, false] {
        let module = module(deterministic);
        for workers in [1, 2, 4] {
            let (mut sched, mut all) = crowd(&module);
            if deterministic {
                let c = sched.find_channel("c0").unwrap();
                let hour = Spawn::export("sleeps").argument(&3_600_000_000_000u64.to_le_bytes());
                all.push(sched.spawn(&module, hour.channel("c", c)).unwrap());
            }
            let executor =
                Executor::start(sched, &ExecutorOptions { workers, slice_steps: 20 }).unwrap();
            assert_eq!(executor.wait(PATIENCE), Some(RunResult::Finished));
            let (sched, events) = executor.drain(PATIENCE).unwrap();
            assert!(events.is_empty(), "{events:?}");
            let ends = results(&sched, &all);
            let is_finished = |end: &Option<Status>| matches!(end, Some(Status::Finished(_)));
            assert!(ends.iter().all(is_finished), "{ends:?}");
            let three = Some(Status::Finished(vec![Value::I32(135)]));
            assert!(ends[2] == three && (!deterministic || ends.last() == Some(&three)));
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
}

/// A host import that comes back wakes a worker that sleeps: two hundred in a row take no two hundred
/// times the five milliseconds after which those look again that nobody wakes.
#[test]
fn an_import_that_comes_back_wakes_a_worker() {
    let module = module_of(
        r#"(module
            (import "test" "later" (func $later))
            (func (export "main") (result i32) (local $i i32)
              (loop $l
                (call $later)
                (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                  (i32.const 200))))
              (local.get $i)))"#,
    );
    let (send, wakers) = mpsc::channel::<Waker>();
    let host = Host::builder().suspending("test", "later", &[], &[], move |_, _| {
        let (send, mut is_back) = (send.clone(), false);
        Ok(std::future::poll_fn(move |cx| {
            if std::mem::replace(&mut is_back, true) {
                return Poll::Ready(Ok::<_, HostError>(vec![]));
            }
            send.send(cx.waker().clone()).unwrap();
            Poll::Pending
        }))
    });
    let waking = thread::spawn(move || {
        for waker in wakers {
            // Once the workers sleep.
            thread::sleep(Duration::from_micros(200));
            waker.wake();
        }
    });
    let mut sched = Scheduler::new(module.engine());
    let id = sched.spawn(&module, Spawn::export("main").host(host.build())).unwrap();
    let begun = Instant::now();
    let options = ExecutorOptions { workers: 2, slice_steps: 1000 };
    let executor = Executor::start(sched, &options).unwrap();
    assert_eq!(executor.wait(PATIENCE), Some(RunResult::Finished));
    let took = begun.elapsed();
    let (sched, _) = executor.drain(PATIENCE).unwrap();
    assert_eq!(sched.end(id), Some(&Status::Finished(vec![Value::I32(200)])));
    drop(sched);
    waking.join().unwrap();
    assert!(took < Duration::from_millis(800), "{took:?}");
}

/// Workers that have nothing to run sleep until the first timer is due, which one of them notices then.
#[test]
fn nobody_looks_all_the_time_for_a_timer() {
    let module = module(false);
    let reads = Arc::new(AtomicU64::new(0));
    let mut sched = Scheduler::new(module.engine());
    let c = sched.channel("c", ChannelOptions::default()).unwrap();
    let spawn = Spawn::export("sleeps").argument(&30_000_000u64.to_le_bytes()).channel("c", c);
    sched.spawn(&module, spawn).unwrap();
    sched.set_clock(Counted { clock: MonotonicClock::default(), reads: reads.clone() });
    let options = ExecutorOptions { workers: 4, slice_steps: 1000 };
    let executor = Executor::start(sched, &options).unwrap();
    assert_eq!(executor.wait(PATIENCE), Some(RunResult::Finished));
    let reads = reads.load(Ordering::Relaxed);
    assert!(reads < 200, "the clock was read {reads} times in 90 milliseconds");
}

/// A clock that knows how often somebody looked at it.
struct Counted {
    clock: MonotonicClock,
    reads: Arc<AtomicU64>,
}

impl Clock for Counted {
    fn now_ns(&mut self) -> u64 {
        self.reads.fetch_add(1, Ordering::Relaxed);
        Clock::now_ns(&mut self.clock)
    }

    fn wait(&mut self, ns: u64) {
        self.clock.wait(ns);
    }
}
