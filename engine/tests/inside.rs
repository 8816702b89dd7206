//! Snapshots asked for while a tasklet is in a host import are refused, and work a moment later.

mod common;

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use common::{invoke, module, reload};
use tasklet_engine::{
    Delivery, Error, ErrorKind, Host, HostBuilder, HostCtx, HostError, Module, Outcome, Progress,
    SnapshotOptions, Tasklet, Value,
};

/// Sorts 16 numbers with the host's `qsort`, which calls the comparison by its table element; the
/// comparison tells the host of it.
const SORT: &str = r#"(module
    (import "host" "qsort" (func $qsort (param i32 i32 i32)))
    (import "host" "compared" (func $compared (param i32 i32)))
    (memory (export "memory") 1)
    (table 1 funcref) (elem (i32.const 0) $compare)
    (func $compare (param $a i32) (param $b i32) (result i32)
      (call $compared (i32.load (local.get $a)) (i32.load (local.get $b)))
      (i32.sub (i32.load (local.get $a)) (i32.load (local.get $b))))
    (func (export "run") (result i32) (local $n i32) (local $sum i32)
      (local.set $n (i32.const 16))
      (loop $fill
        (i32.store (i32.mul (i32.const 4) (local.get $n))
          (i32.rem_u (i32.mul (local.get $n) (i32.const 7919)) (i32.const 101)))
        (br_if $fill (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (call $qsort (i32.const 4) (i32.const 16) (i32.const 0))
      (local.set $n (i32.const 16))
      (loop $add
        (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 3))
          (i32.load (i32.mul (i32.const 4) (local.get $n)))))
        (br_if $add (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (local.get $sum)))"#;

/// Insertion sort, which calls back often.
fn qsort(ctx: &mut HostCtx<'_>, base: u32, count: u32, compare: u32) -> Result<(), HostError> {
    let at = |i: u32| u64::from(base + 4 * i);
    for i in 1..count {
        for j in (1..=i).rev() {
            let pair = [Value::I32(at(j - 1) as i32), Value::I32(at(j) as i32)];
            match ctx.call_table(0, compare.into(), &pair)?[..] {
                [Value::I32(order)] if order > 0 => {}
                _ => break,
            }
            let (a, b) = (ctx.read_vec(at(j - 1), 4)?, ctx.read_vec(at(j), 4)?);
            ctx.write(at(j - 1), &b)?;
            ctx.write(at(j), &a)?;
        }
    }
    Ok(())
}

fn sorting(compared: impl Fn(&mut HostCtx<'_>, i32, i32) + Send + Sync + 'static) -> HostBuilder {
    Host::builder().func_wrap("host", "qsort", qsort).func_wrap("host", "compared", compared)
}

fn quiet() -> Host {
    sorting(|_: &mut HostCtx<'_>, _: i32, _: i32| {}).build()
}

fn run(module: &Module) -> (Outcome, u64) {
    let mut tasklet = Tasklet::spawn(module, quiet(), invoke("run", &[])).unwrap();
    (tasklet.run(u64::MAX).unwrap(), tasklet.steps_used().unwrap())
}

fn names(error: &Error) -> (String, Vec<String>) {
    assert_eq!(error.kind(), ErrorKind::InsideHostImport);
    let Error::InsideHostImport { import, backtrace, .. } = error else { panic!("{error}") };
    (import.clone(), backtrace.iter().map(|frame| frame.name.clone()).collect())
}

/// Refused from the comparison's import, refused from another thread, and then it works: the
/// original finishes right, the copy too.
#[test]
fn a_comparison_called_back_by_the_hosts_sort() {
    let module = module(SORT);
    let refusals = Arc::new(Mutex::new(Vec::new()));
    let noted = refusals.clone();
    let compared = move |ctx: &mut HostCtx<'_>, _: i32, _: i32| {
        let mut noted = noted.lock().unwrap();
        if !noted.is_empty() {
            return;
        }
        noted.push(ctx.snapshot().unwrap_err());
        let (handle, (send, receive)) = (ctx.handle(), mpsc::channel());
        let ask = move || send.send(handle.request_snapshot().unwrap_err()).unwrap();
        std::thread::spawn(ask).join().unwrap();
        noted.push(receive.recv().unwrap());
        ctx.pause_behind();
    };
    let host = sorting(compared).trace_imports().build();
    let mut tasklet = Tasklet::spawn(&module, host, invoke("run", &[])).unwrap();
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Interrupted);
    let refusals = std::mem::take(&mut *refusals.lock().unwrap());
    assert_eq!(refusals.len(), 2);
    for refusal in &refusals {
        let (import, frames) = names(refusal);
        assert_eq!(import, "host::compared");
        assert_eq!(frames, ["compare", "func[3]"]);
        assert!(refusal.to_string().contains("it has to return first"), "{refusal}");
    }
    // Right behind the sort: the next loop header.
    let frames = tasklet.backtrace().unwrap();
    assert_eq!(frames.len(), 1);
    let mut copy = reload(&mut tasklet, quiet());
    tasklet.handle().request_snapshot().unwrap();
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Interrupted);
    let (outcome, steps) = run(&module);
    for mut tasklet in [tasklet, reload(&mut copy, quiet()), copy] {
        assert_eq!(tasklet.run(u64::MAX).unwrap(), outcome);
        assert_eq!(tasklet.steps_used().unwrap(), steps);
    }
}

/// Asked for at every call of an import, the pauses change nothing, and the account is even.
#[test]
fn pauses_behind_imports_change_nothing() {
    let wat = r#"(module
        (import "host" "tick" (func $tick (param i32) (result i32)))
        (tag $e (param i32))
        (func $leaf (param i32) (result i32) (call $tick (local.get 0)))
        (func $thrown (param i32) (result i32)
          (block $caught (result i32)
            (try_table (catch $e $caught) (return (call $leaf (local.get 0))))
            unreachable))
        (func (export "run") (param $n i32) (result i32) (local $sum i32)
          (loop $l
            (local.set $sum (i32.add (local.get $sum) (call $thrown (local.get $n))))
            (local.set $sum (i32.add (local.get $sum) (call $tick (local.get $n))))
            (local.set $sum (i32.add (local.get $sum) (call $tick (i32.const 1))))
            (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
          (local.get $sum)))"#;
    let host = |pauses: bool| {
        let tick = move |ctx: &mut HostCtx<'_>, n: i32| {
            if pauses {
                ctx.pause_behind();
            }
            match n {
                3 => Err(ctx.throw(0, &[Value::I32(100)])),
                n => Ok(n),
            }
        };
        Host::builder().func_wrap("host", "tick", tick).build()
    };
    let module =
        module(&wat.replace("(call $tick (local.get $n))", "(call $thrown (local.get $n))"));
    let entry = invoke("run", &[Value::I32(5)]);
    let expected = common::straight(&module, host(false), &entry);
    assert_eq!(
        expected.outcome,
        Outcome::Finished(vec![Value::I32(2 * (5 + 4 + 100 + 2 + 1) + 5)])
    );
    for budget in [1, 3, 10, u64::MAX] {
        let mut tasklet = Tasklet::spawn(&module, host(true), entry.clone()).unwrap();
        let mut pauses = 0;
        let outcome = loop {
            match tasklet.run(budget).unwrap() {
                Outcome::Interrupted => {
                    pauses += 1;
                    assert!(tasklet.balance().unwrap() <= 0);
                }
                Outcome::OutOfBudget => {}
                outcome => break outcome,
            }
            tasklet = reload(&mut tasklet, host(true));
        };
        assert!((5..=15).contains(&pauses), "{pauses} at budget {budget}");
        common::same(&expected, &common::end(tasklet, outcome), budget);
    }
}

/// While an import is pending that is not safe to issue again, a snapshot is refused from every
/// side; once it is there and the guest has run on, it works.
#[test]
fn a_pending_import_is_refused_until_it_is_there() {
    let wat = r#"(module
        (import "host" "ask" (func $ask (result i32)))
        (func $outer (result i32) (i32.add (call $ask) (i32.const 1)))
        (func (export "run") (result i32) (local $n i32) (local $sum i32)
          (local.set $n (i32.const 3))
          (loop $l
            (local.set $sum (i32.add (local.get $sum) (call $outer)))
            (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
          (local.get $sum)))"#;
    let module = module(wat);
    let open = Arc::new(Mutex::new(false));
    let host = || {
        let open = open.clone();
        let ask = move |_: &mut HostCtx<'_>| {
            let open = open.clone();
            Ok(std::future::poll_fn(move |_| match *open.lock().unwrap() {
                true => Poll::Ready(Ok(7)),
                false => Poll::Pending,
            }))
        };
        Host::builder().suspending_wrap("host", "ask", ask).trace_imports().build()
    };
    let mut tasklet = Tasklet::spawn(&module, host(), invoke("run", &[])).unwrap();
    assert!(matches!(tasklet.run(u64::MAX).unwrap(), Outcome::Waiting(_)));
    let refused = tasklet.snapshot(&SnapshotOptions::default()).unwrap_err();
    let (import, frames) = names(&refused);
    assert_eq!(import, "host::ask");
    assert_eq!(frames, ["ask", "outer", "func[2]"]);
    assert!(refused.to_string().contains("`HostBuilder::restartable`"), "{refused}");
    let asked = tasklet.handle().request_snapshot().unwrap_err();
    assert_eq!(names(&asked).0, "host::ask");
    assert_eq!(names(&asked).1, ["outer", "func[2]"]);
    // What it came to is the guest's only once it has run on.
    *open.lock().unwrap() = true;
    tasklet.wait();
    assert!(tasklet.snapshot(&SnapshotOptions::default()).is_err());
    assert_eq!(tasklet.run(1).unwrap(), Outcome::OutOfBudget);
    let mut copy = reload(&mut tasklet, host());
    assert!(tasklet.handle().request_snapshot().is_ok());
    assert_eq!(tasklet.run(1).unwrap(), Outcome::Interrupted);
    for tasklet in [&mut tasklet, &mut copy] {
        assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(24)]));
    }
}

/// An embedder that has waited long enough answers in the import's place.
#[test]
fn somebody_else_can_answer() {
    let wat = r#"(module
        (import "host" "ask" (func $ask (result i32)))
        (tag $e (param i32))
        (func (export "run") (result i32)
          (block $caught (result i32)
            (try_table (catch $e $caught) (return (call $ask)))
            unreachable)
          (i32.add (i32.const 100))))"#;
    let module = module(wat);
    let host = || {
        let never = |_: &mut HostCtx<'_>, _: Progress<()>| {
            Ok(std::future::pending::<Result<i32, HostError>>())
        };
        Host::builder().restartable_wrap("host", "ask", never).build()
    };
    let mut tasklet = Tasklet::spawn(&module, host(), invoke("run", &[])).unwrap();
    assert!(!tasklet.answer_import(vec![Value::I32(1)]));
    assert!(matches!(tasklet.run(u64::MAX).unwrap(), Outcome::Waiting(_)));
    let mut copies = [reload(&mut tasklet, host()), reload(&mut tasklet, host())];
    let thrown = || Delivery::new(|ctx| Err(ctx.throw(0, &[Value::I32(7)])));
    // One has not been issued again yet.
    assert!(copies[0].answer_import(vec![Value::I32(1)]));
    assert_eq!(copies[0].run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(1)]));
    assert!(tasklet.answer_import(thrown()));
    assert!(!tasklet.answer_import(thrown()));
    tasklet.wait();
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(107)]));
    assert!(matches!(copies[1].run(u64::MAX).unwrap(), Outcome::Waiting(_)));
    assert!(copies[1].answer_import(Delivery::new(|_| Err(HostError::new("too late")))));
    let Outcome::Trapped(trap) = copies[1].run(u64::MAX).unwrap() else { panic!("no trap") };
    assert_eq!(trap.message, "host import `host::ask`: too late");
}
