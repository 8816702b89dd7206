//! Imports that wait outside of the guest: results, memory, exceptions, and the pause oracle.

mod common;

use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use common::{invoke, module, reload};
use tasklet_engine::{
    Budget, Delivery, Entry, Error, Host, HostBuilder, HostCtx, HostError, LoadOptions, Module,
    Outcome, Progress, RunResult, Scheduler, SetOptions, SnapshotOptions, Spawn, Status, Tasklet,
    TaskletId, TrapKind, Value, Wait,
};

type Ctx<'a, 'b> = &'a mut HostCtx<'b>;

/// Asks the host for each of n numbers, which throws for every third of them.
const ASKING: &str = r#"(module
    (import "host" "ask" (func $ask (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (tag $odd (param i32))
    (func $one (param $i i32) (result i32)
      (block $caught (result i32)
        (try_table (catch $odd $caught)
          (return (i32.add (call $ask (local.get $i) (i32.const 64))
                           (i32.load (i32.const 64)))))
        unreachable)
      (i32.mul (i32.const 1000)))
    (func (export "run") (param $n i32) (result i32) (local $sum i32)
      (loop $l
        (local.set $sum (i32.add (local.get $sum) (call $one (local.get $n))))
        (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (local.get $sum)))"#;

/// A future that is there when it has been polled so often; each time it notes how often.
async fn polled(times: u32, from: u32, wakes: bool, note: impl Fn(u32)) {
    let mut polls = from;
    std::future::poll_fn(move |cx| {
        if polls >= times {
            return Poll::Ready(());
        }
        polls += 1;
        note(polls);
        if wakes {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}

fn answer(number: i32, at: u32) -> Delivery<i32> {
    Delivery::new(move |ctx| {
        if number % 3 == 0 {
            return Err(ctx.throw(0, &[Value::I32(number)]));
        }
        ctx.write(at.into(), &(number * 7).to_le_bytes())?;
        Ok(number * 2)
    })
}

fn restartable() -> Host {
    let ask = |_: Ctx<'_, '_>, progress: Progress<u32>, n: i32, at: u32| {
        Ok(async move {
            let from = progress.get().unwrap_or(0);
            polled(n as u32 % 4, from, false, |polls| progress.set(polls)).await;
            Ok(answer(n, at))
        })
    };
    Host::builder().restartable_wrap("host", "ask", ask).build()
}

fn suspending() -> Host {
    let ask = |_: Ctx<'_, '_>, n: i32, at: u32| {
        Ok(async move {
            polled(n as u32 % 4, 0, true, |_| {}).await;
            Ok(answer(n, at))
        })
    };
    Host::builder().suspending_wrap("host", "ask", ask).build()
}

fn expected(n: i32) -> i32 {
    (1..=n).map(|i| if i % 3 == 0 { i * 1000 } else { i * 9 }).sum()
}

/// Runs to the end, and is taken through `stop` wherever it stops.
fn stepped(
    module: &Module,
    host: Host,
    entry: &Entry,
    budget: u64,
    mut stop: impl FnMut(Tasklet, &Outcome) -> Tasklet,
) -> common::End {
    let mut tasklet = Tasklet::spawn(module, host, entry.clone()).unwrap();
    loop {
        match tasklet.run(budget).unwrap() {
            outcome @ (Outcome::OutOfBudget | Outcome::Waiting(_)) => {
                tasklet = stop(tasklet, &outcome);
            }
            outcome => return common::end(tasklet, outcome),
        }
    }
}

#[test]
fn paused_everywhere_and_moved_while_it_waits_it_does_the_same() {
    let module = module(ASKING);
    let entry = invoke("run", &[Value::I32(9)]);
    let straight = stepped(&module, restartable(), &entry, u64::MAX, |tasklet, _| tasklet);
    assert_eq!(straight.outcome, Outcome::Finished(vec![Value::I32(expected(9))]));
    for budget in [1, 2, 7, u64::MAX] {
        let mut waits = 0;
        let found = stepped(&module, restartable(), &entry, budget, |mut tasklet, outcome| {
            waits += u32::from(matches!(outcome, Outcome::Waiting(_)));
            reload(&mut tasklet, restartable())
        });
        common::same(&straight, &found, budget);
        // 9 to 1, modulo 4, the last poll of each being no wait: one issue for each poll.
        assert_eq!(waits, 1 + 3 + 2 + 1 + 3 + 2 + 1, "budget {budget}");
        // Whether it can be issued again makes no difference to the guest.
        let found =
            stepped(&module, suspending(), &entry, budget, |mut tasklet, outcome| match outcome {
                Outcome::Waiting(_) => tasklet,
                _ => reload(&mut tasklet, suspending()),
            });
        common::same(&straight, &found, budget);
    }
}

#[test]
fn what_is_there_at_once_is_no_wait_and_costs_no_budget() {
    let module = module(ASKING);
    let mut tasklet =
        Tasklet::spawn(&module, suspending(), invoke("run", &[Value::I32(4)])).unwrap();
    // 4 is there at once, 3 is not.
    let Outcome::Waiting(wait) = tasklet.run(1000).unwrap() else { panic!("it waits") };
    let import = Wait::Import { import: "host::ask".into(), restartable: false };
    assert_eq!((&wait, tasklet.waiting()), (&import, Some(&import)));
    assert_eq!(tasklet.granted(), tasklet.steps_used().unwrap());
    let asked = tasklet.steps_used().unwrap();
    // Asked again it still waits, and has not run.
    assert_eq!(tasklet.run(1000).unwrap(), Outcome::Waiting(wait));
    assert_eq!(tasklet.steps_used().unwrap(), asked);
    tasklet.wait();
    assert!(matches!(tasklet.run(1000).unwrap(), Outcome::Waiting(_)));
    // Interrupts are answered though it waits.
    tasklet.handle().interrupt();
    assert_eq!(tasklet.run(1000).unwrap(), Outcome::Interrupted);
    tasklet.wait();
    while let Outcome::Waiting(_) = tasklet.run(1000).unwrap() {
        tasklet.wait();
    }
    assert_eq!(tasklet.status(), &Status::Finished(vec![Value::I32(expected(4))]));
}

/// One answer that comes from elsewhere.
#[derive(Clone, Default)]
struct Answer(Arc<Mutex<(Option<i32>, Option<Waker>)>>);

impl Answer {
    fn give(&self, value: i32) {
        let mut inner = self.0.lock().unwrap();
        inner.0 = Some(value);
        if let Some(waker) = inner.1.take() {
            waker.wake();
        }
    }

    async fn get(self) -> i32 {
        std::future::poll_fn(move |cx| {
            let mut inner = self.0.lock().unwrap();
            match inner.0.take() {
                Some(value) => Poll::Ready(value),
                None => {
                    inner.1 = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn host(&self) -> HostBuilder {
        let this = self.clone();
        Host::builder().suspending_wrap("host", "ask", move |_: Ctx<'_, '_>, _: i32, _: i32| {
            let answer = this.clone();
            Ok(async move { Ok(answer.get().await) })
        })
    }
}

/// A waker that counts.
#[derive(Default)]
struct Count(Mutex<u32>);

impl std::task::Wake for Count {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() += 1;
    }
}

#[test]
fn a_thread_that_blocks_and_an_embedder_that_awaits_are_woken() {
    let module = module(ASKING);
    let answer = Answer::default();
    let entry = invoke("run", &[Value::I32(1)]);
    let mut tasklet = Tasklet::spawn(&module, answer.host().build(), entry.clone()).unwrap();
    assert!(matches!(tasklet.run(u64::MAX).unwrap(), Outcome::Waiting(_)));
    let other = answer.clone();
    let thread = std::thread::spawn(move || other.give(5));
    tasklet.wait();
    thread.join().unwrap();
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(5)]));

    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut cx = std::task::Context::from_waker(&waker);
    let mut tasklet = Tasklet::spawn(&module, answer.host().build(), entry).unwrap();
    assert!(tasklet.poll_wait(&mut cx).is_ready());
    assert!(matches!(tasklet.run(u64::MAX).unwrap(), Outcome::Waiting(_)));
    assert!(tasklet.poll_wait(&mut cx).is_pending());
    // Somebody else's poll does not take the waker away.
    assert!(matches!(tasklet.run(u64::MAX).unwrap(), Outcome::Waiting(_)));
    assert_eq!(*count.0.lock().unwrap(), 0);
    answer.give(6);
    assert_eq!(*count.0.lock().unwrap(), 1);
    assert!(tasklet.poll_wait(&mut cx).is_ready());
    assert!(tasklet.poll_wait(&mut cx).is_ready());
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(6)]));
}

#[test]
fn errors_of_imports_that_wait_are_traps() {
    let module = module(ASKING);
    let entry = invoke("run", &[Value::I32(1)]);
    let late =
        |_: Ctx<'_, '_>, _: i32, _: i32| Ok(async { Err::<i32, _>(HostError::new("too late")) });
    let early = |_: Ctx<'_, '_>, _: i32, _: i32| {
        Err::<std::future::Ready<Result<i32, _>>, _>(HostError::new("too early"))
    };
    let outside = |_: Ctx<'_, '_>, _: i32, _: i32| {
        Ok(async {
            let make = |ctx: Ctx<'_, '_>| ctx.write(1 << 16, &[1]).map(|()| 1);
            Ok(Delivery::new(make))
        })
    };
    let hosts = [
        (Host::builder().suspending_wrap("host", "ask", late).build(), "too late"),
        (Host::builder().suspending_wrap("host", "ask", early).build(), "too early"),
        (Host::builder().suspending_wrap("host", "ask", outside).build(), "0x10000 are not inside"),
    ];
    for (host, message) in hosts {
        let mut tasklet = Tasklet::spawn(&module, host, entry.clone()).unwrap();
        let Outcome::Trapped(trap) = tasklet.run(u64::MAX).unwrap() else { panic!("no trap") };
        assert_eq!(trap.kind, TrapKind::Host);
        assert!(trap.message.contains("host import `host::ask`: "), "{trap}");
        assert!(trap.message.contains(message), "{trap}");
        assert_eq!(trap.backtrace.len(), 2, "{trap:?}");
    }
    let wrong = Host::builder()
        .suspending("host", "ask", &[tasklet_engine::ValType::I32; 2], &[], |_, _| {
            Ok(async { Ok(vec![]) })
        })
        .build();
    let error = Tasklet::spawn(&module, wrong, entry).map(drop).unwrap_err();
    assert_eq!(error.kind(), tasklet_engine::ErrorKind::Import);
}

#[test]
fn nothing_waits_below_a_host_import() {
    let wat = r#"(module
        (import "host" "ask" (func $ask (param i32 i32) (result i32)))
        (import "host" "back" (func $back))
        (memory (export "memory") 1)
        (func (export "inner") (drop (call $ask (i32.const 1) (i32.const 0))))
        (func (export "run") (call $back)))"#;
    let back = |ctx: Ctx<'_, '_>| ctx.call_export("inner", &[]).map(drop);
    let host = Answer::default().host().func_wrap("host", "back", back).build();
    let mut tasklet = Tasklet::spawn(&module(wat), host, invoke("run", &[])).unwrap();
    let Outcome::Trapped(trap) = tasklet.run(u64::MAX).unwrap() else { panic!("no trap") };
    assert_eq!(trap.kind, TrapKind::CannotSuspend);
    assert!(trap.message.contains("`host::ask`"), "{trap}");
    assert!(trap.message.contains("outside of callbacks"), "{trap}");
}

fn waiting(ids: &[TaskletId]) -> RunResult {
    RunResult::Waiting { tasklets: ids.to_vec(), next_ns: None }
}

#[test]
fn several_wait_at_once_in_a_scheduler() {
    let module = module(ASKING);
    let answers: Vec<Answer> = (0..3).map(|_| Answer::default()).collect();
    let mut sched = Scheduler::new(module.engine());
    let ids: Vec<_> = (answers.iter())
        .map(|answer| {
            let entry = invoke("run", &[Value::I32(2)]);
            sched.spawn(&module, Spawn::new(entry).host(answer.host().build())).unwrap()
        })
        .collect();
    let run = |sched: &mut Scheduler| sched.run(Budget::unlimited()).unwrap();
    assert_eq!(run(&mut sched), waiting(&ids));
    assert!(matches!(sched.restorable(ids[0]), Err(Error::InsideHostImport { .. })));
    answers[1].give(10);
    assert_eq!(run(&mut sched), waiting(&ids));
    answers[1].give(7);
    assert_eq!(run(&mut sched), waiting(&[ids[0], ids[2]]));
    assert_eq!(sched.end(ids[1]), Some(&Status::Finished(vec![Value::I32(17)])));
    sched.kill(ids[0]).unwrap();
    answers[2].give(1);
    assert_eq!(run(&mut sched), waiting(&[ids[2]]));
    answers[2].give(2);
    assert_eq!(run(&mut sched), RunResult::Finished);
    assert_eq!(sched.end(ids[2]), Some(&Status::Finished(vec![Value::I32(3)])));
}

/// What comes back while others are busy goes on among them, and an embedder that awaits is woken.
#[test]
fn news_wake_a_scheduler() {
    let module = module(
        r#"(module
            (import "host" "ask" (func $ask (param i32 i32) (result i32)))
            (import "host" "tick" (func $tick (param i32)))
            (func (export "ask") (result i32) (call $ask (i32.const 0) (i32.const 0)))
            (func (export "count") (local $n i32)
              (loop $l
                (call $tick (local.get $n))
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $l (i32.lt_u (local.get $n) (i32.const 100))))))"#,
    );
    let answer = Answer::default();
    let later = answer.clone();
    let tick = move |_: Ctx<'_, '_>, n: i32| {
        if n == 10 {
            later.give(3);
        }
    };
    let host = || answer.host().func_wrap("host", "tick", tick.clone()).build();
    let mut sched = Scheduler::new(module.engine());
    let asks = sched.spawn(&module, Spawn::export("ask").host(host())).unwrap();
    let counts = sched.spawn(&module, Spawn::export("count").host(host())).unwrap();
    let result = sched.run(Budget::steps(20).round_robin().with_total(600)).unwrap();
    assert_eq!(result, RunResult::Interrupted(counts));
    // It was there long before the other has come to its end.
    assert_eq!(sched.end(asks), Some(&Status::Finished(vec![Value::I32(3)])));
    sched.kill(counts).unwrap();

    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut cx = std::task::Context::from_waker(&waker);
    assert!(sched.poll_waiting(&mut cx).is_ready());
    let asks = sched.spawn(&module, Spawn::export("ask").host(host())).unwrap();
    assert!(matches!(sched.run(Budget::unlimited()).unwrap(), RunResult::Waiting { .. }));
    assert!(sched.poll_waiting(&mut cx).is_pending());
    answer.give(4);
    assert_eq!(*count.0.lock().unwrap(), 1);
    assert!(sched.poll_waiting(&mut cx).is_ready());
    assert_eq!(sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(sched.end(asks), Some(&Status::Finished(vec![Value::I32(4)])));
    assert!(sched.poll_waiting(&mut cx).is_ready());
}

#[test]
fn a_scheduler_moves_what_waits() {
    let module = module(ASKING);
    let mut sched = Scheduler::new(module.engine());
    let mut ends = Vec::new();
    for n in [7, 5, 3] {
        let spawn = Spawn::new(invoke("run", &[Value::I32(n)])).host(restartable());
        ends.push(sched.spawn(&module, spawn).unwrap());
    }
    // Each run waits, with all that are left; each is moved, and goes on.
    loop {
        match sched.run(Budget::steps(3).round_robin()).unwrap() {
            RunResult::Waiting { tasklets, .. } => {
                for id in tasklets {
                    let bytes = sched.dump(id).unwrap();
                    sched.kill(id).unwrap();
                    let options = LoadOptions::default().host(restartable());
                    let copy = sched.load_with(&bytes, options).unwrap();
                    sched.insert(copy).unwrap();
                    ends.push(copy);
                }
            }
            RunResult::Finished => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(ends.len() > 10, "{ends:?}");
    let values = ends.into_iter().filter_map(|id| match sched.end(id)? {
        Status::Finished(values) => Some(values[0].clone()),
        _ => None,
    });
    let mut values: Vec<_> = values.map(|value| value.to_string()).collect();
    values.sort();
    let mut wanted: Vec<_> = [7, 5, 3].map(|n| expected(n).to_string()).to_vec();
    wanted.sort();
    assert_eq!(values, wanted);
}

#[test]
fn the_snapshot_says_what_is_waited_for() {
    let module = module(ASKING);
    let mut tasklet =
        Tasklet::spawn(&module, restartable(), invoke("run", &[Value::I32(3)])).unwrap();
    assert!(matches!(tasklet.run(u64::MAX).unwrap(), Outcome::Waiting(_)));
    let snapshot = tasklet.snapshot(&SnapshotOptions::default()).unwrap();
    let (namespace, state) = &snapshot.host[0];
    assert_eq!(namespace, "tasklet.import");
    let state = format!("{state:?}");
    // What has come of one poll, as CBOR.
    for part in ["\"host\"", "\"ask\"", "Bytes([1])"] {
        assert!(state.contains(part), "{state}");
    }
    assert_eq!(snapshot.frames.last().unwrap().locals.len(), 2);
}

/// What waits for an import that can be issued again is forked, and dumped in a set; its copies
/// issue it.
#[test]
fn forks_and_sets_of_what_waits() {
    let module = module(ASKING);
    let mut sched = Scheduler::new(module.engine());
    let spawn = Spawn::new(invoke("run", &[Value::I32(3)])).host(restartable());
    let original = sched.spawn(&module, spawn).unwrap();
    assert_eq!(sched.run(Budget::unlimited()).unwrap(), waiting(&[original]));
    let mut cx = std::task::Context::from_waker(Waker::noop());
    assert!(sched.poll_waiting(&mut cx).is_pending());
    let fork = sched.fork(original).unwrap();
    // It has not been issued for the copy, so a run is worth while.
    assert!(sched.poll_waiting(&mut cx).is_ready());
    let mut bytes = Vec::new();
    sched.dump_all(&mut bytes, &SnapshotOptions::default()).unwrap();
    let mut other = Scheduler::new(module.engine());
    let options = SetOptions::default().hosts(|_| restartable());
    let loaded = other.load_set(&bytes, options).unwrap();
    assert!(other.poll_waiting(&mut cx).is_ready());
    let copies: Vec<_> = loaded.tasklets.iter().map(|(_, id)| *id).collect();
    for (sched, ids) in [(&mut sched, vec![original, fork]), (&mut other, copies)] {
        while sched.run(Budget::unlimited()).unwrap() == waiting(&ids) {}
        for id in ids {
            assert_eq!(sched.end(id), Some(&Status::Finished(vec![Value::I32(expected(3))])));
        }
    }
    // One that is not restartable is refused, as part of a set too, and stays as it was.
    let answer = Answer::default();
    let spawn = Spawn::new(invoke("run", &[Value::I32(1)])).host(answer.host().build());
    let pending = sched.spawn(&module, spawn).unwrap();
    assert_eq!(sched.run(Budget::unlimited()).unwrap(), waiting(&[pending]));
    assert!(matches!(sched.fork(pending), Err(Error::InsideHostImport { .. })));
    let error = sched.dump_all(&mut Vec::new(), &SnapshotOptions::default()).unwrap_err();
    assert_eq!(error.kind(), tasklet_engine::ErrorKind::InsideHostImport);
    answer.give(9);
    assert_eq!(sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(sched.end(pending), Some(&Status::Finished(vec![Value::I32(9)])));
}
