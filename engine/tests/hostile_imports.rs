//! Host imports that behave badly: they panic, hand back what they should not, call back in odd ways,
//! wake whom they should not.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use common::{invoke, module, reload, sliced, straight};
use tasklet_engine::{
    Budget, Delivery, Entry, Error, Host, HostBuilder, HostCtx, HostError, Module, Outcome,
    Progress, RunResult, Scheduler, SnapshotOptions, Spawn, Status, Tasklet, TrapKind, ValType,
    Value,
};

type Ctx<'a, 'b> = &'a mut HostCtx<'b>;

/// Calls the host with deep frames below it, directly or from a callback.
const CALLS: &str = r#"(module
    (import "host" "bad" (func $bad (param i32) (result i32)))
    (import "host" "back" (func $back))
    (memory (export "memory") 1)
    (tag $e (param i32))
    (func $deep (param $n i32) (result i32)
      (if (result i32) (local.get $n)
        (then (i32.add (call $deep (i32.sub (local.get $n) (i32.const 1))) (i32.const 1)))
        (else (call $bad (i32.const 1)))))
    (func (export "run") (result i32) (call $deep (i32.const 5)))
    (func (export "inner") (drop (call $deep (i32.const 3))))
    (func (export "called") (result i32) (call $back) (i32.const 1))
    (func (export "right") (result i32) (local $i i32)
      (loop $l (br_if $l (i32.lt_s
        (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 50))))
      (local.get $i)))"#;

fn back() -> HostBuilder {
    Host::builder().func_wrap("host", "back", |ctx: Ctx<'_, '_>| {
        // Whatever is made of it here, the guest has ended.
        let _ = ctx.call_export("inner", &[]);
    })
}

/// Panics when it has been polled so often.
async fn panics_at(poll: u32) -> Result<i32, HostError> {
    let mut polls = 0;
    std::future::poll_fn(move |_| {
        polls += 1;
        if polls == poll {
            panic!("polled");
        }
        Poll::Pending
    })
    .await
}

/// All the places where an import can panic, and what it says.
fn panicking() -> Vec<(&'static str, Host)> {
    let at = |poll| {
        back().suspending_wrap("host", "bad", move |_: Ctx<'_, '_>, _: i32| Ok(panics_at(poll)))
    };
    let call = |_: Ctx<'_, '_>, _: i32| -> i32 { panic!("called") };
    let start = |_: Ctx<'_, '_>, _: Progress<()>, _: i32| -> Result<std::future::Ready<_>, _> {
        let number = 7;
        panic!("issued {number}");
        #[expect(unreachable_code, reason = "it says the type")]
        Ok(std::future::ready(Ok::<i32, HostError>(1)))
    };
    let deliver = |_: Ctx<'_, '_>, _: i32| {
        let make = |_: Ctx<'_, '_>| -> Result<i32, HostError> { panic!("delivered") };
        Ok(async move { Ok(Delivery::new(make)) })
    };
    vec![
        ("called", back().func_wrap("host", "bad", call).build()),
        ("issued 7", back().restartable_wrap("host", "bad", start).build()),
        ("polled", at(1).build()),
        ("polled", at(2).build()),
        ("delivered", back().suspending_wrap("host", "bad", deliver).build()),
    ]
}

/// A panic goes to who runs the tasklet, which has ended then, and is whole otherwise.
#[test]
fn a_panic_ends_the_tasklet() {
    let module = module(CALLS);
    for (said, host) in panicking() {
        let mut tasklet = Tasklet::spawn(&module, host, invoke("run", &[])).unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            while let Outcome::Waiting(_) = tasklet.run(u64::MAX).unwrap() {}
        }));
        assert!(panicked.is_err(), "{said}");
        let Outcome::Trapped(trap) = tasklet.run(u64::MAX).unwrap() else { panic!("{said}") };
        assert_eq!(trap.kind, TrapKind::Host);
        assert_eq!(trap.message, format!("host import `host::bad`: it has panicked: {said}"));
        tasklet.handle().request_snapshot().unwrap();
        assert!(tasklet.backtrace().unwrap().is_empty());
        reload(&mut tasklet, back().func_wrap("host", "bad", |_: Ctx<'_, '_>, n: i32| n).build());
        // As after any other trap, the instance can be called.
        tasklet.call("right", vec![]).unwrap();
        assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Interrupted);
        assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(50)]));
    }
}

/// The same below a callback, where only what does not wait can be called.
#[test]
fn a_panic_below_a_callback_ends_the_tasklet() {
    let module = module(CALLS);
    let host = || {
        back()
            .func_wrap("host", "bad", |_: Ctx<'_, '_>, _: i32| -> i32 { panic!("called") })
            .build()
    };
    let mut tasklet = Tasklet::spawn(&module, host(), invoke("called", &[])).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| tasklet.run(u64::MAX))).is_err());
    let Status::Trapped(trap) = tasklet.status() else { panic!("{:?}", tasklet.status()) };
    assert!(trap.message.contains("`host::bad`"), "{trap}");
    tasklet.call("right", vec![]).unwrap();
    // Budgets end again: nothing of the callback's is left.
    assert_eq!(tasklet.run(5).unwrap(), Outcome::OutOfBudget);
    let mut tasklet = reload(&mut tasklet, host());
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(50)]));
}

/// In a scheduler the others go on as if it had ended by itself.
#[test]
fn a_panic_leaves_the_others() {
    let module = module(CALLS);
    for (said, host) in panicking() {
        let mut sched = Scheduler::new(module.engine());
        let fine = || back().func_wrap("host", "bad", |_: Ctx<'_, '_>, n: i32| n).build();
        let before = sched.spawn(&module, Spawn::export("run").host(fine())).unwrap();
        let bad = sched.spawn(&module, Spawn::export("run").host(host)).unwrap();
        let behind = sched.spawn(&module, Spawn::export("run").host(fine())).unwrap();
        let mut panics = 0;
        let result = loop {
            let run = || sched.run(Budget::steps(7).round_robin());
            match catch_unwind(AssertUnwindSafe(run)) {
                Err(_) => panics += 1,
                Ok(Ok(RunResult::Waiting { .. })) => {}
                Ok(result) => break result.unwrap(),
            }
        };
        assert_eq!(panics, 1, "{said}");
        assert!(matches!(result, RunResult::Finished | RunResult::Idle), "{said}: {result:?}");
        for id in [before, behind] {
            assert_eq!(sched.end(id), Some(&Status::Finished(vec![Value::I32(6)])));
        }
        let Some(Status::Trapped(trap)) = sched.end(bad) else { panic!("{:?}", sched.end(bad)) };
        assert!(trap.message.ends_with(said), "{trap}");
        assert!(sched.tasklets().is_empty());
    }
}

/// After a trap in what a delivery calls back nothing is pending any more.
#[test]
fn a_delivery_that_calls_back_into_a_trap() {
    let wat = r#"(module
        (import "host" "ask" (func $ask (result i32)))
        (func (export "trap") unreachable)
        (func (export "run") (result i32) (call $ask))
        (func (export "right") (result i32) (i32.const 50)))"#;
    let module = module(wat);
    let ask = |_: Ctx<'_, '_>| {
        let mut polls = 0;
        let later = std::future::poll_fn(move |_| {
            polls += 1;
            if polls == 1 { Poll::Pending } else { Poll::Ready(()) }
        });
        Ok(async move {
            later.await;
            Ok(Delivery::new(|ctx: Ctx<'_, '_>| Ok(ctx.call_export("trap", &[]).map_or(1, |_| 2))))
        })
    };
    let host = Host::builder().suspending_wrap("host", "ask", ask).build();
    let mut tasklet = Tasklet::spawn(&module, host, invoke("run", &[])).unwrap();
    assert!(matches!(tasklet.run(u64::MAX).unwrap(), Outcome::Waiting(_)));
    let Outcome::Trapped(trap) = tasklet.run(u64::MAX).unwrap() else { panic!("no trap") };
    assert_eq!(trap.kind, TrapKind::Unreachable);
    tasklet.handle().request_snapshot().unwrap();
    tasklet.call("right", vec![]).unwrap();
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Interrupted);
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(50)]));
}

/// What is no value of the guest's is an error that says so, and not a panic.
#[test]
fn values_of_others_are_refused() {
    let wat = r#"(module
        (import "host" "function" (func $function (result funcref)))
        (import "host" "exception" (func $exception (result exnref)))
        (import "host" "integer" (func $integer (result i32)))
        (tag $e (param i32))
        (elem declare func $known) (func $known)
        (func (export "make") (result exnref)
          (block $h (result exnref)
            (try_table (catch_all_ref $h) (throw $e (i32.const 1))) unreachable))
        (func (export "function") (drop (call $function)))
        (func (export "exception") (drop (call $exception)))
        (func (export "integer") (drop (call $integer))))"#;
    let module = module(wat);
    let host = |exception: Option<Value>| {
        let exception = exception.unwrap_or(Value::ExnRef(None));
        Host::builder()
            .func("host", "function", &[], &[ValType::FuncRef], |_, _| {
                Ok(vec![Value::FuncRef(Some(4_000_000_000))])
            })
            .func("host", "exception", &[], &[ValType::ExnRef], move |_, _| {
                Ok(vec![exception.clone()])
            })
            .func("host", "integer", &[], &[ValType::I32], |_, _| {
                Ok(vec![Value::I32(1), Value::I32(2)])
            })
            .build()
    };
    let mut other = Tasklet::spawn(&module, host(None), invoke("make", &[])).unwrap();
    let Outcome::Finished(values) = other.run(u64::MAX).unwrap() else { panic!("no exception") };
    for (name, words) in [
        ("function", "no reference to function 4000000000"),
        ("exception", "another"),
        ("integer", "returned (i32, i32) instead of (i32)"),
    ] {
        let host = host(Some(values[0].clone()));
        let mut tasklet = Tasklet::spawn(&module, host, invoke(name, &[])).unwrap();
        let Outcome::Trapped(trap) = tasklet.run(u64::MAX).unwrap() else { panic!("{name}") };
        assert_eq!(trap.kind, TrapKind::Host, "{trap}");
        assert!(trap.message.contains(words), "{trap}");
        assert!(trap.message.contains(&format!("`host::{name}`")), "{trap}");
    }
}

/// Memory grows while the host is inside; the export `memory` is the guest's, whichever it is.
#[test]
fn memory_that_grows_below_an_import() {
    let wat = r#"(module
        (import "host" "grow" (func $grow (param i32) (result i32)))
        (memory $other 3 3)
        (memory $main (export "memory") 1 4)
        (func (export "more") (result i32) (memory.grow $main (i32.const 1)))
        (func (export "run") (result i32) (local $n i32)
          (local.set $n (call $grow (i32.const 65532)))
          (i32.add (i32.mul (local.get $n) (i32.const 1000))
            (i32.add (i32.load $main (i32.const 65536)) (i32.load $other (i32.const 65536))))))"#;
    let host = || {
        let grow = |ctx: Ctx<'_, '_>, at: u32| {
            assert_eq!(ctx.memory()?.len(), 1 << 16);
            assert!(ctx.write(at.into(), &[7; 8]).is_err());
            assert_eq!(ctx.call_export("more", &[])?, [Value::I32(1)]);
            assert_eq!(ctx.memory()?.len(), 2 << 16);
            ctx.write(u64::from(at) + 4, &[7, 0, 0, 0])?;
            assert!(ctx.read_vec(u64::MAX, 2).is_err());
            assert!(ctx.read_vec(1, u64::MAX).is_err());
            assert!(ctx.read(u64::from(at) + 4, &mut [0; 65537]).is_err());
            Ok(i32::try_from(ctx.memory()?.len() >> 16).unwrap())
        };
        Host::builder().func_wrap("host", "grow", grow).build()
    };
    let module = module(wat);
    let entry = invoke("run", &[]);
    let expected = straight(&module, host(), &entry);
    assert_eq!(expected.outcome, Outcome::Finished(vec![Value::I32(2007)]));
    for budget in [1, 2, 5] {
        common::same(&expected, &sliced(&module, &host, &host, &entry, budget).0, budget);
    }
}

/// An import that calls itself through the guest's exports, ever deeper, ends with a trap.
#[test]
fn an_import_that_is_exported_again_and_calls_itself() {
    let wat = r#"(module
        (import "host" "again" (func $again (param i32) (result i32)))
        (export "again" (func $again))
        (func (export "run") (param i32) (result i32) (call $again (local.get 0))))"#;
    let host = || {
        let again = |ctx: Ctx<'_, '_>, n: i32| match n {
            0 => Ok(1),
            n => match ctx.call_export("again", &[Value::I32(n - 1)])?[..] {
                [Value::I32(value)] => Ok(value + 1),
                _ => Err(HostError::new("not an integer")),
            },
        };
        Host::builder().func_wrap("host", "again", again).build()
    };
    let module = module(wat);
    let entry = invoke("run", &[Value::I32(20)]);
    let expected = straight(&module, host(), &entry);
    assert_eq!(expected.outcome, Outcome::Finished(vec![Value::I32(21)]));
    common::same(&expected, &sliced(&module, &host, &host, &entry, 1).0, 1);
    let mut tasklet = Tasklet::spawn(&module, host(), invoke("run", &[Value::I32(-1)])).unwrap();
    let Outcome::Trapped(trap) = tasklet.run(u64::MAX).unwrap() else { panic!("no trap") };
    assert_eq!(trap.kind, TrapKind::StackOverflow, "{trap}");
}

/// Three imports deep, each refusing snapshots to itself and to other threads, and one that asks for a
/// pause behind: it is behind the outermost.
#[test]
fn refused_at_every_level_of_nested_imports() {
    let wat = r#"(module
        (import "host" "down" (func $down (param i32) (result i32)))
        (func (export "level") (param i32) (result i32)
          (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))
        (func (export "run") (result i32) (local $sum i32) (local $n i32)
          (loop $l
            (local.set $sum (i32.add (local.get $sum) (call $down (i32.const 3))))
            (br_if $l (i32.lt_s (local.tee $n (i32.add (local.get $n) (i32.const 1)))
              (i32.const 3))))
          (local.get $sum)))"#;
    let host = |asks: bool| {
        let down = move |ctx: Ctx<'_, '_>, n: i32| {
            if asks {
                let refused = ctx.snapshot().unwrap_err();
                assert!(matches!(refused, Error::InsideHostImport { .. }), "{refused}");
                let handle = ctx.handle();
                let ask = std::thread::spawn(move || handle.request_snapshot().unwrap_err());
                let Error::InsideHostImport { import, .. } = ask.join().unwrap() else {
                    panic!("another error")
                };
                assert_eq!(import, "host::down");
            }
            if n == 0 {
                if asks {
                    ctx.pause_behind();
                }
                return Ok(0);
            }
            let value = ctx.call_export("level", &[Value::I32(n)])?;
            match value[..] {
                [Value::I32(value)] => Ok(value),
                _ => Err(HostError::new("not an integer")),
            }
        };
        Host::builder().func_wrap("host", "down", down).build()
    };
    let module = module(wat);
    let entry = invoke("run", &[]);
    let expected = straight(&module, host(false), &entry);
    assert_eq!(expected.outcome, Outcome::Finished(vec![Value::I32(9)]));
    for budget in [1, 3, 20, u64::MAX] {
        let mut tasklet = Tasklet::spawn(&module, host(true), entry.clone()).unwrap();
        let mut behind = 0;
        let outcome = loop {
            match tasklet.run(budget).unwrap() {
                Outcome::Interrupted => behind += 1,
                Outcome::OutOfBudget => {}
                outcome => break outcome,
            }
            tasklet = reload(&mut tasklet, host(true));
        };
        // Behind the last one the guest ends.
        assert!(budget < u64::MAX || (2..=3).contains(&behind), "{behind}");
        common::same(&expected, &common::end(tasklet, outcome), budget);
    }
}

/// Two modules that import the same names, of other types and other hosts, beside each other.
#[test]
fn the_same_names_of_two_modules() {
    let engine = common::engine();
    let load = |ty: &str| {
        let wat = format!(
            r#"(module (import "host" "get" (func $get (result {ty})))
               (func (export "run") (result {ty}) (call $get)))"#
        );
        Module::load(&engine, &wat::parse_str(wat).unwrap()).unwrap()
    };
    let (narrow, wide) = (load("i32"), load("i64"));
    let one = || Host::builder().func_wrap("host", "get", |_: Ctx<'_, '_>| 1i32).build();
    let later = |_: Ctx<'_, '_>| Ok(async { Ok(2i64) });
    let two = || Host::builder().suspending_wrap("host", "get", later).build();
    let mut sched = Scheduler::new(&engine);
    let first = sched.spawn(&narrow, Spawn::export("run").host(one())).unwrap();
    let second = sched.spawn(&wide, Spawn::export("run").host(two())).unwrap();
    let wrong = sched.spawn(&wide, Spawn::export("run").host(one())).unwrap_err();
    assert!(wrong.to_string().contains("import `host::get`"), "{wrong}");
    assert_eq!(sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(sched.end(first), Some(&Status::Finished(vec![Value::I32(1)])));
    assert_eq!(sched.end(second), Some(&Status::Finished(vec![Value::I64(2)])));
}

/// Whether an import does not wait, is there at once, or later: the guest does the same, to the step
/// and to the byte of the snapshots in between.
#[test]
fn what_is_there_at_once_is_as_if_it_had_not_waited() {
    let wat = r#"(module
        (import "host" "ask" (func $ask (param i32) (result i32)))
        (memory (export "memory") 1)
        (tag $e (param i32))
        (func $one (param $n i32) (result i32)
          (block $caught (result i32)
            (try_table (catch $e $caught) (return (call $ask (local.get $n))))
            unreachable))
        (func (export "add") (param i32)
          (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (local.get 0))))
        (func (export "run") (param $n i32) (result i32) (local $sum i32)
          (loop $l
            (local.set $sum (i32.add (local.get $sum) (call $one (local.get $n))))
            (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
          (i32.add (local.get $sum) (i32.load (i32.const 8)))))"#;
    fn answer(ctx: Ctx<'_, '_>, n: i32) -> Result<i32, HostError> {
        // What is called back is part of the account.
        ctx.call_export("add", &[Value::I32(n)])?;
        if n % 2 == 0 { Err(ctx.throw(0, &[Value::I32(100 * n)])) } else { Ok(n) }
    }
    let immediate =
        || Host::builder().func_wrap("host", "ask", |ctx: Ctx<'_, '_>, n: i32| answer(ctx, n));
    let at_once = || {
        Host::builder().suspending_wrap("host", "ask", |ctx: Ctx<'_, '_>, n: i32| {
            if n == 3 {
                ctx.pause_behind();
            }
            Ok(std::future::ready(Ok(Delivery::new(move |ctx: Ctx<'_, '_>| answer(ctx, n)))))
        })
    };
    let later = || {
        let ask = |_: Ctx<'_, '_>, progress: Progress<u8>, n: i32| {
            Ok(async move {
                std::future::poll_fn(move |_| match progress.get() {
                    Some(_) => Poll::Ready(()),
                    None => {
                        progress.set(1);
                        Poll::Pending
                    }
                })
                .await;
                Ok(Delivery::new(move |ctx: Ctx<'_, '_>| answer(ctx, n)))
            })
        };
        Host::builder().restartable_wrap("host", "ask", ask)
    };
    let module = module(wat);
    let entry = invoke("run", &[Value::I32(6)]);
    let stops = |host: &dyn Fn() -> HostBuilder, budget: u64| {
        let mut tasklet = Tasklet::spawn(&module, host().build(), entry.clone()).unwrap();
        let (mut stops, mut interrupted) = (Vec::new(), 0);
        loop {
            match tasklet.run(budget).unwrap() {
                Outcome::OutOfBudget => {
                    let mut snapshot = tasklet.snapshot(&SnapshotOptions::default()).unwrap();
                    snapshot.parent = None;
                    let mut bytes = Vec::new();
                    snapshot.write_to(&mut bytes).unwrap();
                    stops.push((tasklet.steps_used().unwrap(), bytes));
                    tasklet = reload(&mut tasklet, host().build());
                }
                Outcome::Waiting(_) => {}
                Outcome::Interrupted => interrupted += 1,
                outcome => return (common::end(tasklet, outcome), stops, interrupted),
            }
        }
    };
    for budget in [1, 2, 9, u64::MAX] {
        let (expected, all, _) = stops(&immediate, budget);
        assert_eq!(expected.outcome, Outcome::Finished(vec![Value::I32(9 + 1200 + 21)]));
        let (end, found, interrupted) = stops(&at_once, budget);
        common::same(&expected, &end, budget);
        // At the pause behind it unspent budget is given back, which shifts the stops.
        assert!(interrupted == 1 || found == all, "budget {budget}");
        common::same(&expected, &stops(&later, budget).0, budget);
    }
    // It is polled once, and once only if it is not there.
    let polls = Arc::new(Mutex::new(0));
    let counted = polls.clone();
    let ask = move |_: Ctx<'_, '_>, _: i32| {
        let counted = counted.clone();
        Ok(std::future::poll_fn(move |_| {
            *counted.lock().unwrap() += 1;
            Poll::<Result<i32, HostError>>::Pending
        }))
    };
    let host = Host::builder().suspending_wrap("host", "ask", ask).build();
    let mut tasklet = Tasklet::spawn(&module, host, entry.clone()).unwrap();
    for polled in 1..4 {
        assert!(matches!(tasklet.run(u64::MAX).unwrap(), Outcome::Waiting(_)));
        assert_eq!(*polls.lock().unwrap(), polled);
    }
}

/// The wakers that an import was polled with, kept for ever.
#[derive(Clone, Default)]
struct Wakers(Arc<Mutex<(bool, Vec<Waker>)>>);

impl Wakers {
    fn host(&self) -> Host {
        let this = self.clone();
        let ask = move |_: Ctx<'_, '_>| {
            let this = this.clone();
            Ok(std::future::poll_fn(move |cx| {
                let mut inner = this.0.lock().unwrap();
                inner.1.push(cx.waker().clone());
                if inner.0 { Poll::Ready(Ok(5)) } else { Poll::Pending }
            }))
        };
        Host::builder().suspending_wrap("host", "ask", ask).build()
    }

    /// From many threads at once, each of them twice.
    fn wake_all(&self) {
        let wakers = self.0.lock().unwrap().1.clone();
        let wake = |waker: Waker| {
            waker.wake_by_ref();
            waker.wake();
        };
        std::thread::scope(|scope| {
            for waker in wakers {
                let other = waker.clone();
                scope.spawn(move || wake(waker));
                scope.spawn(move || wake(other));
            }
        });
    }
}

const ASKS: &str = r#"(module (import "host" "ask" (func $ask (result i32)))
    (func (export "run") (result i32) (call $ask)))"#;

/// Wakers are woken often, from everywhere, and long after whoever waited has gone.
#[test]
fn wakers_outlive_their_tasklets() {
    let module = module(ASKS);
    let wakers: [Wakers; 4] = Default::default();
    let mut sched = Scheduler::new(module.engine());
    let ids = [0, 1, 2, 3].map(|n| {
        let spawn = Spawn::export("run").host(wakers[n].host());
        sched.spawn(&module, spawn).unwrap()
    });
    let run = |sched: &mut Scheduler| sched.run(Budget::steps(10).round_robin()).unwrap();
    assert!(matches!(run(&mut sched), RunResult::Waiting { .. }));
    // One is killed, one goes to another scheduler, one is refused a dump and a fork.
    sched.kill(ids[0]).unwrap();
    let taken = sched.take(ids[1]).unwrap();
    assert!(sched.dump(ids[2]).is_err() && sched.fork(ids[2]).is_err());
    wakers.iter().for_each(Wakers::wake_all);
    let mut other = Scheduler::new(module.engine());
    let moved = other.put(taken).unwrap();
    other.insert(moved).unwrap();
    // They have news, but not those that they wait for.
    assert!(matches!(run(&mut sched), RunResult::Waiting { .. }));
    assert!(matches!(run(&mut other), RunResult::Waiting { .. }));
    wakers.iter().for_each(|wakers| wakers.0.lock().unwrap().0 = true);
    wakers.iter().for_each(Wakers::wake_all);
    assert_eq!(run(&mut sched), RunResult::Finished);
    assert_eq!(run(&mut other), RunResult::Finished);
    let five = Status::Finished(vec![Value::I32(5)]);
    assert_eq!((sched.end(ids[2]), sched.end(ids[3])), (Some(&five), Some(&five)));
    assert_eq!(other.end(moved), Some(&five));
    drop((sched, other));
    wakers.iter().for_each(Wakers::wake_all);
}

/// A future is dropped as soon as nobody can be told what it comes to.
#[test]
fn futures_go_with_who_waits_for_them() {
    let module = module(ASKS);
    let there = Arc::new(());
    let host = || {
        let there = there.clone();
        let ask = move |_: Ctx<'_, '_>| {
            let held = there.clone();
            Ok(async move {
                let _held = held;
                std::future::pending::<Result<i32, HostError>>().await
            })
        };
        Host::builder().suspending_wrap("host", "ask", ask).build()
    };
    let entry: Entry = invoke("run", &[]);
    let waiting = || {
        let mut tasklet = Tasklet::spawn(&module, host(), entry.clone()).unwrap();
        assert!(matches!(tasklet.run(u64::MAX).unwrap(), Outcome::Waiting(_)));
        // This one, the host's closure, the future.
        assert_eq!(Arc::strong_count(&there), 3);
        tasklet
    };
    drop(waiting());
    assert_eq!(Arc::strong_count(&there), 1);
    let mut answered = waiting();
    assert!(answered.answer_import(vec![Value::I32(1)]));
    assert_eq!(Arc::strong_count(&there), 2);
    assert_eq!(answered.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(1)]));
    drop(answered);
    let mut wrong = waiting();
    assert!(wrong.answer_import(vec![Value::I64(1)]));
    let Outcome::Trapped(trap) = wrong.run(u64::MAX).unwrap() else { panic!("no trap") };
    assert!(trap.message.ends_with("returned (i64) instead of (i32)"), "{trap}");
    assert_eq!(Arc::strong_count(&there), 2);
}
