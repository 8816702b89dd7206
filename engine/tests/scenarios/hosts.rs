//! Scenarios 6 and 7: what the host holds in its hands cannot be written down, and says so.

use std::sync::{Arc, Mutex};
use std::task::Poll;

use tasklet_engine::{
    Error, Host, HostBuilder, HostCtx, LoadOptions, Progress, RunResult, Spawn, Status, TaskletId,
    Value,
};

use crate::World;

/// Has the host call it back, from a stop inside of which it logs what it is told.
const CALLED_BACK: &str = r#"
    (import "host" "twice" (func $twice (param i32)))
    (table 1 funcref) (elem (i32.const 0) $inside)
    (func $inside (param i32) (result i32)
      (call $say (local.get 0))
      ;; Nothing can wait here: refused, and the guest is told.
      (call $say (call $yield))
      (local.get 0))
    (func (export "main") (result i32)
      (drop (call $park))
      (call $twice (i32.const 0))
      (drop (call $park))
      (i32.const 5))"#;

/// The refusals that the host met inside.
type Refusals = Arc<Mutex<Vec<Error>>>;

fn calling_back(builder: HostBuilder, refusals: &Refusals) -> Host {
    let refusals = refusals.clone();
    let twice = move |ctx: &mut HostCtx<'_>, element: i32| {
        refusals.lock().unwrap().push(ctx.snapshot().unwrap_err());
        for turn in 1..=2 {
            ctx.call_table(0, element as u64, &[Value::I32(turn)])?;
        }
        Ok(())
    };
    builder.func_wrap("host", "twice", twice).build()
}

/// While the host's own frames are below it, a snapshot is refused, with the import's name; killing
/// it works; and an original whose import has returned goes on as if nobody had asked.
///
/// Stackless dumps such a tasklet, loads it, lets it claim that it can be restored, and fails when
/// it reaches the frame. Ours is refused at once, where something can still be done.
#[test]
fn scenario_06_non_restorable_is_honest() {
    let mut w = World::with_imports(CALLED_BACK);
    let refusals = Refusals::default();
    let spawn = |w: &mut World| {
        let host = calling_back(w.inner.log.builder(), &refusals);
        w.inner.sched.spawn(&w.inner.module, Spawn::export("main").host(host)).unwrap()
    };
    let id = spawn(&mut w);
    assert_eq!(w.run(), RunResult::Finished);
    // Before and behind the import it can be dumped.
    let before = w.dump(id);
    w.insert(id);
    assert_eq!(w.run(), RunResult::Finished);
    const IN_CALLBACK: i64 = -4;
    assert_eq!(w.log(), [1, IN_CALLBACK, 2, IN_CALLBACK]);
    for refusal in refusals.lock().unwrap().drain(..) {
        let Error::InsideHostImport { import, .. } = &refusal else { panic!("{refusal}") };
        assert_eq!(import, "host::twice");
        assert!(refusal.to_string().contains("it has to return first"), "{refusal}");
    }
    let behind = w.dump(id);
    let load = |w: &mut World, bytes: &[u8]| {
        let host = calling_back(w.inner.log.builder(), &refusals);
        let options = LoadOptions::default().host(host).module(&w.inner.module);
        w.inner.sched.load_with(bytes, options).unwrap()
    };
    for (bytes, stops) in [(before, 2), (behind, 1)] {
        let copy = load(&mut w, &bytes);
        let killed = load(&mut w, &bytes);
        w.sched().restorable(copy).unwrap();
        w.sched().kill(killed).unwrap();
        for _ in 0..stops {
            w.insert(copy);
            assert_eq!(w.run(), RunResult::Finished);
        }
        assert_eq!(w.sched().end(copy), Some(&Status::Finished(vec![Value::I32(5)])));
        w.log();
    }
    refusals.lock().unwrap().clear();
    w.insert(id);
    assert_eq!(w.run(), RunResult::Finished);
    assert_eq!(w.sched().end(id), Some(&Status::Finished(vec![Value::I32(5)])));
}

/// Asks the host at two places: by an import that holds something of the host's, and by one that
/// can be issued again.
const ASKING: &str = r#"
    (import "host" "opaque" (func $opaque (param i32) (result i32)))
    (import "host" "again" (func $again (param i32) (result i32)))
    (func (export "main") (result i32)
      (i32.add (call $opaque (i32.const 30)) (call $again (i32.const 10))))"#;

/// Each is there as soon as it is opened.
fn answering(builder: HostBuilder, open: &[Arc<Mutex<bool>>; 2]) -> Host {
    let [one, two] = open.clone();
    let wait = |open: Arc<Mutex<bool>>, n: i32| {
        std::future::poll_fn(move |_| match *open.lock().unwrap() {
            true => Poll::Ready(Ok(n + 1)),
            false => Poll::Pending,
        })
    };
    let opaque = move |_: &mut HostCtx<'_>, n: i32| Ok(wait(one.clone(), n));
    let again = move |_: &mut HostCtx<'_>, _: Progress<u32>, n: i32| Ok(wait(two.clone(), n));
    let builder = builder.suspending_wrap("host", "opaque", opaque);
    builder.restartable_wrap("host", "again", again).build()
}

/// The same guest at two stops: at one a host function holds what cannot be written down, and the
/// dump is refused, naming it; at the next it does not, and the copy completes.
#[test]
fn scenario_07_suspended_host_functions() {
    let mut w = World::with_imports(ASKING);
    let open: [Arc<Mutex<bool>>; 2] = Default::default();
    let host = answering(w.inner.log.builder(), &open);
    let id = w.inner.sched.spawn(&w.inner.module, Spawn::export("main").host(host)).unwrap();
    assert!(matches!(w.run(), RunResult::Waiting { .. }));
    assert!(w.sched().flags(id).waiting);
    let refused = w.sched().dump(id).unwrap_err();
    let Error::InsideHostImport { import, .. } = &refused else { panic!("{refused}") };
    assert_eq!(import, "host::opaque");
    assert!(w.sched().restorable(id).is_err());
    // It is unharmed, and a moment later it is somewhere else.
    *open[0].lock().unwrap() = true;
    assert!(matches!(w.run(), RunResult::Waiting { .. }));
    w.sched().restorable(id).unwrap();
    let bytes = w.dump(id);
    let load = |w: &mut World| -> TaskletId {
        let host = answering(w.inner.log.builder(), &open);
        let options = LoadOptions::default().host(host).module(&w.inner.module);
        w.inner.sched.load_with(&bytes, options).unwrap()
    };
    let copies = [load(&mut w), load(&mut w)];
    for copy in copies {
        w.insert(copy);
    }
    w.sched().kill(copies[1]).unwrap();
    assert!(matches!(w.run(), RunResult::Waiting { .. }));
    *open[1].lock().unwrap() = true;
    assert_eq!(w.run(), RunResult::Finished);
    for id in [id, copies[0]] {
        assert_eq!(w.sched().end(id), Some(&Status::Finished(vec![Value::I32(42)])));
    }
}
