//! Tasklets that are not in memory while nobody needs them.
//!
//! The oracle: a scheduler in which whatever waits is hibernated at once does the same, turn by turn,
//! as one that hibernates nothing, and ends the same.

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use common::guests::World;
use tasklet_engine::wasi::WasiOptions;
use tasklet_engine::{
    Budget, ChannelOptions, Digest, DirectoryStore, Error, ErrorKind, Handed, Hibernation,
    LoadOptions, MemoryStore, Message, Preference, RunResult, Scheduler, Snapshot, Status, Store,
    TaskletId, Value, snapshot,
};

const GUESTS: &str = r#"
    (func (export "receiver")
      (call $log (call $receive (call $c) (i32.const 64) (i32.const 4)))
      (call $say (i32.load8_u (i32.const 64)))
      (call $say (call $rest (i32.const 1) (i32.const 64) (i32.const 8))))
    (func (export "sender")
      (i32.store8 (i32.const 64) (i32.const 42))
      (call $say (call $send (call $c) (i32.const 64) (i32.const 1))))
    (data (i32.const 128) "\c8\00\00\00\01\00\00\00\c9\00\00\00\02\00\00\00\cb\00\00\00\03\00\00\00")
    (data (i32.const 200) "abbccc")
    (func (export "sequence") (call $say (call $send_all (call $c) (i32.const 128) (i32.const 3))))
    ;; Answers each message by the sum so far, until the channel is closed.
    (func (export "sum") (local $sum i32)
      (block $closed
        (loop $l
          (br_if $closed (i64.lt_s (call $receive (call $c) (i32.const 64) (i32.const 1)) (i64.const 0)))
          (local.set $sum (i32.add (local.get $sum) (i32.load8_u (i32.const 64))))
          (call $log (i64.mul (call $id) (i64.const 1000)))
          (call $say (local.get $sum))
          (br_if $l (i32.eqz (i32.and (local.get $sum) (i32.const 1024))))))
      (call $say (call $argument (i32.const 64) (i32.const 8)))
      (call $say (i32.load8_u (i32.const 64))))
    ;; Sends 0 to 9, counting between, and yielding.
    (func (export "numbers") (local $i i32)
      (loop $l
        (i32.store8 (i32.const 80) (local.get $i))
        (drop (call $count (i32.const 20)))
        (call $say (call $send (call $c) (i32.const 80) (i32.const 1)))
        (drop (call $yield))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10)))))
    (func (export "closer") (local $i i32)
      (loop $l
        (drop (call $yield))
        (br_if $l (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 40))))
      (call $log (call $balance (call $c)))
      (call $say (call $close (call $c))))
    (data (i32.const 300) "numbers")
    (func (export "parent")
      (call $log (call $spawn (i32.const 300) (i32.const 7) (i32.const 0) (i32.const 0)))
      (drop (call $park))
      (call $say (call $atomic (i32.const 1)))
      (drop (call $count (i32.const 500)))
      (call $say (call $atomic (i32.const 0))))
    (func (export "parked") (drop (call $park)) (call $say (i32.const 10)))
    (func (export "count") (result i32) (call $count (i32.const 1000)))
"#;

fn world() -> World {
    let mut w = World::new(GUESTS);
    w.sched.channel("talk", ChannelOptions::default()).unwrap();
    w
}

fn spawn(w: &mut World, export: &str) -> TaskletId {
    let c = w.sched.find_channel("talk").unwrap();
    let spawn = w.of(export).channel("c", c).argument(&[7, 8, 9]);
    w.sched.spawn(&w.module, spawn).unwrap()
}

/// One of everything, which talk to one another.
fn crowd(w: &mut World) -> Vec<TaskletId> {
    let log = w.log.clone();
    w.sched.child_host(move |_| log.host());
    let all = ["sum", "sum", "numbers", "parent", "receiver", "sender", "sequence", "closer"];
    all.iter().map(|export| spawn(w, export)).collect()
}

/// All that can be told of a run: who ran after whom, what guests said, what became of them.
#[derive(Debug, PartialEq)]
struct Course {
    switches: Vec<(Option<TaskletId>, Option<TaskletId>)>,
    results: Vec<RunResult>,
    said: Vec<i64>,
    ends: Vec<Option<Status>>,
    dumps: Vec<Vec<u8>>,
}

fn course(budget: Budget, preference: Preference, hibernation: Option<Hibernation>) -> Course {
    let mut w = world();
    let c = w.sched.find_channel("talk").unwrap();
    w.sched.set_channel_options(c, ChannelOptions { preference, external: false }).unwrap();
    if let Some(policy) = hibernation {
        w.sched.set_store(MemoryStore::new(), policy).unwrap();
    }
    let switches = Arc::new(Mutex::new(Vec::new()));
    let noted = switches.clone();
    w.sched.on_switch(move |before, next| noted.lock().unwrap().push((before, next)));
    crowd(&mut w);
    let (mut results, mut dumps) = (Vec::new(), Vec::new());
    for _ in 0..1000 {
        let result = w.sched.run(budget).unwrap();
        let at_rest = matches!(result, RunResult::Finished | RunResult::Deadlock(_));
        if let RunResult::Interrupted(id) = result {
            if results.len() % 7 == 0 {
                dumps.push(w.sched.dump(id).unwrap());
            }
            w.sched.insert(id).unwrap();
        }
        results.push(result);
        if at_rest {
            // Whoever is parked goes on.
            for id in w.sched.tasklets() {
                if w.sched.flags(id).paused {
                    w.sched.insert(id).unwrap();
                }
            }
            if w.sched.run_count() == 0 {
                break;
            }
        }
    }
    let switches = switches.lock().unwrap().clone();
    let all: BTreeSet<TaskletId> = switches.iter().filter_map(|(_, next)| *next).collect();
    let ends = all.iter().map(|id| w.sched.end(*id).cloned()).collect();
    Course { switches, results, said: w.log.take(), ends, dumps }
}

/// The oracle, for every way to share the steps out and every way to hand over.
#[test]
fn whatever_waits_can_be_hibernated() {
    let budgets = [
        Budget::unlimited(),
        Budget::steps(1).round_robin(),
        Budget::steps(37).round_robin(),
        Budget::steps(50),
        Budget::steps(100).with_total(300).round_robin(),
    ];
    let preferences =
        [Preference::Receiver, Preference::Neither, Preference::Sender, Preference::Both];
    let policies = [
        Hibernation::after_turns(0),
        Hibernation::after_turns(3),
        Hibernation::live_max(2),
        Hibernation::after_turns(5).and_live_max(4),
    ];
    for budget in budgets {
        for preference in preferences {
            let expected = course(budget, preference, None);
            assert!(expected.said.len() > 30, "{expected:?}");
            let policy = |at: usize| (at == 0 || preference == Preference::Both).then_some(at);
            for policy in (0..policies.len()).filter_map(policy).map(|at| policies[at]) {
                let found = course(budget, preference, Some(policy));
                assert!(found == expected, "{budget:?} {preference:?} {policy:?}");
            }
        }
    }
}

/// One that is asleep is dealt with as if it were not.
#[test]
fn one_that_is_hibernated_can_be_talked_to_taken_dumped_and_killed() {
    let mut w = world();
    w.sched.set_store(MemoryStore::new(), Hibernation::never()).unwrap();
    let c = w.sched.find_channel("talk").unwrap();
    let ids: Vec<TaskletId> = (0..5).map(|_| spawn(&mut w, "receiver")).collect();
    let parked = spawn(&mut w, "parked");
    assert!(matches!(w.sched.run(Budget::steps(1)).unwrap(), RunResult::Interrupted(_)));
    w.sched.insert(ids[0]).unwrap();
    assert!(matches!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Deadlock(_)));
    let plain = w.sched.dump(ids[4]).unwrap();
    let flags: Vec<_> = ids.iter().map(|id| w.sched.flags(*id)).collect();
    let handle = w.sched.tasklet(ids[3]).unwrap().handle();
    for id in &ids {
        w.sched.hibernate(*id).unwrap();
        w.sched.hibernate(*id).unwrap();
        w.sched.restorable(*id).unwrap();
        assert!(w.sched.is_hibernated(*id) && w.sched.tasklet(*id).is_none());
    }
    w.sched.hibernate(parked).unwrap();
    assert_eq!(w.sched.hibernated(), 6);
    assert_eq!(flags, ids.iter().map(|id| w.sched.flags(*id)).collect::<Vec<_>>());
    assert!(ids.iter().all(|id| w.sched.tasklets().contains(id)));
    assert_eq!(
        w.sched.waiting_on(c).unwrap()[..],
        ids[1..].iter().chain(&ids[..1]).copied().collect::<Vec<_>>()[..]
    );
    // A message is delivered without it.
    let sent = w.sched.try_send(c, Message::Data(vec![5, 6])).unwrap();
    assert_eq!(sent, Handed::To(ids[1]));
    assert!(w.sched.is_hibernated(ids[1]));
    // A copy of it is as it would be.
    let dumped = w.sched.dump(ids[4]).unwrap();
    assert!(!w.sched.is_hibernated(ids[4]));
    let read = |bytes| Snapshot::read_slice(bytes, &snapshot::Limits::DEFAULT).unwrap();
    let ((plain, digest), (mut dumped, _)) = (read(&plain), read(&dumped));
    assert_eq!(std::mem::replace(&mut dumped.parent, plain.parent), Some(digest));
    assert!(dumped == plain, "what it is does not depend on where it was");
    w.sched.kill(ids[2]).unwrap();
    w.sched.kill(ids[4]).unwrap();
    assert!(matches!(w.sched.kill(ids[2]), Err(Error::NoSuchTasklet { .. })));
    // Its handle is still its own.
    handle.interrupt();
    assert_eq!(w.sched.try_send(c, Message::Data(vec![1])).unwrap(), Handed::To(ids[3]));
    let taken = w.sched.take(parked).unwrap();
    let parked = w.sched.put(taken).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Interrupted(ids[3]));
    w.sched.insert(ids[3]).unwrap();
    w.sched.close(c).unwrap();
    w.sched.insert(parked).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [2, 5, 1, 1, 1, 0, -1, 0, 0, 10]);
}

/// A store that fails when it is told to.
#[derive(Clone, Default)]
struct Unreliable {
    inner: Arc<Mutex<MemoryStore>>,
    fails: Arc<Mutex<bool>>,
}

impl Unreliable {
    fn fail(&self, fails: bool) {
        *self.fails.lock().unwrap() = fails;
    }

    fn inner(&self) -> Result<std::sync::MutexGuard<'_, MemoryStore>, Error> {
        match *self.fails.lock().unwrap() {
            true => Err(Error::Store("out of order".into())),
            false => Ok(self.inner.lock().unwrap()),
        }
    }
}

impl Store for Unreliable {
    fn put(&mut self, key: u64, bytes: &[u8]) -> Result<(), Error> {
        self.inner()?.put(key, bytes)
    }

    fn get(&mut self, key: u64) -> Result<Option<Vec<u8>>, Error> {
        self.inner()?.get(key)
    }

    fn remove(&mut self, key: u64) -> Result<(), Error> {
        self.inner()?.remove(key)
    }

    fn keys(&mut self) -> Result<Vec<u64>, Error> {
        self.inner()?.keys()
    }

    fn put_module(&mut self, hash: Digest, wasm: &[u8]) -> Result<(), Error> {
        self.inner()?.put_module(hash, wasm)
    }

    fn get_module(&mut self, hash: Digest) -> Result<Option<Vec<u8>>, Error> {
        self.inner()?.get_module(hash)
    }
}

/// Whatever a store does, no tasklet is lost: it is in memory still, or in the store still.
#[test]
fn a_store_that_fails_loses_nothing() {
    let mut w = world();
    let store = Unreliable::default();
    w.sched.set_store(store.clone(), Hibernation::after_turns(0)).unwrap();
    let failed = |error: Error| {
        assert!(matches!(error, Error::Store(_)) && error.kind() == ErrorKind::Io, "{error:?}");
    };
    let c = w.sched.find_channel("talk").unwrap();
    let ids = [spawn(&mut w, "receiver"), spawn(&mut w, "receiver")];
    store.fail(true);
    failed(w.sched.run(Budget::unlimited()).unwrap_err());
    assert_eq!((w.sched.hibernated(), w.sched.blocked_on(ids[0]).is_some()), (0, true));
    failed(w.sched.hibernate(ids[0]).unwrap_err());
    store.fail(false);
    assert!(matches!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Deadlock(_)));
    w.sched.hibernate(ids[0]).unwrap();
    assert_eq!(w.sched.hibernated(), 2);
    store.fail(true);
    for _ in 0..2 {
        failed(w.sched.wake(ids[0]).unwrap_err());
        failed(w.sched.take(ids[0]).unwrap_err());
        failed(w.sched.dump(ids[0]).unwrap_err());
        assert!(w.sched.tasklet_mut(ids[0]).is_none());
    }
    // Its turn cannot be had: it is paused, with the message that it was sent.
    w.sched.try_send(c, Message::Data(vec![9])).unwrap();
    failed(w.sched.run(Budget::unlimited()).unwrap_err());
    assert!(w.sched.flags(ids[0]).paused && w.sched.is_hibernated(ids[0]));
    // To be killed it need not come back.
    w.sched.kill(ids[1]).unwrap();
    store.fail(false);
    w.sched.insert(ids[0]).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [1, 9, 0]);
    // What is no more goes from the store when something else is put there.
    let last = spawn(&mut w, "receiver");
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Deadlock(vec![last]));
    assert_eq!(store.inner.lock().unwrap().keys().unwrap().len(), 1);
    // One that the store has lost is not there, and that is said.
    store.inner.lock().unwrap().remove(last.number()).unwrap();
    assert!(matches!(w.sched.wake(last), Err(Error::NotStored { .. })));
}

/// What cannot be written down stays, and the others go.
#[test]
fn what_cannot_be_written_down_stays() {
    let engine = common::engine();
    let wasm = wat::parse_str(
        r#"(module
            (import "tasklet" "park" (func $park (result i32)))
            (import "test" "object" (func $object (result externref)))
            (global $g (mut externref) (ref.null extern))
            (func (export "main")
              (global.set $g (call $object)) (drop (call $park)) (drop (call $park))))"#,
    );
    let module = tasklet_engine::Module::load(&engine, &wasm.unwrap()).unwrap();
    let mut sched = Scheduler::new(&engine);
    sched.set_store(MemoryStore::new(), Hibernation::after_turns(0)).unwrap();
    let host = tasklet_engine::Host::builder()
        .func("test", "object", &[], &[tasklet_engine::ValType::ExternRef], |_, _| {
            Ok(vec![Value::ExternRef(Some(tasklet_engine::HostObject::new(7u8)))])
        })
        .build();
    let id = sched.spawn(&module, tasklet_engine::Spawn::export("main").host(host)).unwrap();
    assert_eq!(sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert!(matches!(sched.hibernate(id), Err(Error::NoCodec { .. })));
    assert!(!sched.is_hibernated(id) && sched.flags(id).paused);
    sched.insert(id).unwrap();
    assert_eq!(sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
}

/// A host import that has been issued comes back to whom it was issued for, and is issued once.
#[test]
fn who_awaits_a_host_import_stays() {
    use tasklet_engine::{Host, HostCtx, Progress, Spawn};
    let engine = common::engine();
    let wasm = wat::parse_str(
        r#"(module
            (import "host" "ask" (func $ask (result i32)))
            (func (export "main") (result i32) (call $ask))
            (func (export "other")))"#,
    );
    let module = tasklet_engine::Module::load(&engine, &wasm.unwrap()).unwrap();
    for policy in [Hibernation::after_turns(0), Hibernation::live_max(0)] {
        let (send, receive) = std::sync::mpsc::channel::<i32>();
        let (receive, issues) = (Arc::new(Mutex::new(receive)), Arc::new(Mutex::new(0)));
        let counted = issues.clone();
        let host = Host::builder()
            .restartable_wrap("host", "ask", move |_: &mut HostCtx<'_>, _: Progress<()>| {
                *counted.lock().unwrap() += 1;
                let receive = receive.clone();
                Ok(std::future::poll_fn(move |_| match receive.lock().unwrap().try_recv() {
                    Ok(number) => std::task::Poll::Ready(Ok(number)),
                    Err(_) => std::task::Poll::Pending,
                }))
            })
            .build();
        let mut sched = Scheduler::new(&engine);
        sched.set_store(MemoryStore::new(), policy).unwrap();
        let id = sched.spawn(&module, Spawn::export("main").host(host)).unwrap();
        sched.run(Budget::unlimited()).unwrap();
        assert!(sched.flags(id).waiting);
        // Paused, it is idle; it awaits all the same.
        sched.remove(id).unwrap();
        for _ in 0..3 {
            let other = Host::builder().restartable_wrap(
                "host",
                "ask",
                |_: &mut HostCtx<'_>, _: Progress<()>| Ok(std::future::ready(Ok(0))),
            );
            sched.spawn(&module, Spawn::export("other").host(other.build())).unwrap();
            assert_eq!(sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
        }
        assert!(matches!(sched.hibernate(id), Err(Error::CannotSchedule { .. })));
        assert!(!sched.is_hibernated(id));
        send.send(7).unwrap();
        sched.insert(id).unwrap();
        assert!(matches!(sched.hibernate(id), Err(Error::CannotSchedule { .. })));
        assert_eq!(sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
        assert_eq!(sched.end(id), Some(&Status::Finished(vec![Value::I32(7)])));
        assert_eq!(*issues.lock().unwrap(), 1);
    }
}

/// User data, an open system interface and codecs outlive it; the module is in the store once.
#[test]
fn what_is_the_hosts_stays_in_memory() {
    let engine = common::engine();
    let wasm = wat::parse_str(
        r#"(module
            (import "tasklet" "park" (func $park (result i32)))
            (import "test" "next" (func $next (result i64)))
            (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "main") (result i64 i64 i32)
              (call $next) (drop (call $park)) (call $next)
              (call $random (i32.const 0) (i32.const 8)) (drop) (i32.load (i32.const 0))))"#,
    );
    let wasm = wasm.unwrap();
    let module = tasklet_engine::Module::load(&engine, &wasm).unwrap();
    let ends = [true, false].map(|hibernates| {
        let mut sched = Scheduler::new(&engine);
        let store = Unreliable::default();
        sched.set_store(store.clone(), Hibernation::never()).unwrap();
        let ids = [(); 3].map(|()| {
            let wasi = WasiOptions { seed: Some(5), ..WasiOptions::default() };
            let host = tasklet_engine::Host::builder()
                .func("test", "next", &[], &[tasklet_engine::ValType::I64], |ctx, _| {
                    let count = ctx.user_mut::<i64>().expect("it was given");
                    *count += 1;
                    Ok(vec![Value::I64(*count)])
                })
                .user(40i64)
                .wasi(wasi)
                .build();
            sched.spawn(&module, tasklet_engine::Spawn::export("main").host(host)).unwrap()
        });
        sched.run(Budget::unlimited()).unwrap();
        for id in ids {
            if hibernates {
                sched.hibernate(id).unwrap();
            }
            sched.insert(id).unwrap();
        }
        if hibernates {
            let mut inner = store.inner.lock().unwrap();
            assert_eq!(inner.get_module(module.hash()).unwrap().unwrap(), wasm);
            let bytes = inner.get(ids[0].number()).unwrap().unwrap();
            assert!(!bytes.windows(wasm.len()).any(|part| part == wasm));
        }
        assert_eq!(sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
        ids.map(|id| sched.end(id).cloned().unwrap())
    });
    assert!(matches!(&ends[0][0], Status::Finished(values)
        if values[..2] == [Value::I64(41), Value::I64(42)]));
    assert_eq!(ends[0], ends[1]);
}

/// Set in a process that is to be killed: the directory of its store.
const DIRECTORY: &str = "TASKLET_TEST_STORE";

/// What a writer has under a number the nth time.
fn version(key: u64, n: u64) -> Vec<u8> {
    let text = format!("{key} {n} ");
    text.into_bytes().repeat(1 + (key as usize * 37 + n as usize * 101) % 900)
}

const KEYS: u64 = 5;

/// The writer. It says what it has put, until it is killed. Without its variable it is no test.
#[test]
fn writer() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let mut options = tasklet_engine::DirectoryOptions::default();
    options.segment_bytes = 20_000;
    let mut store = DirectoryStore::open_with(directory, options).unwrap();
    let first = store.get(0).unwrap().map_or(0, |bytes| number_in(&bytes) + 1);
    for n in first.. {
        for key in 0..KEYS {
            store.put(key, &version(key, n)).unwrap();
            println!("{n}");
        }
    }
}

fn number_in(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    text.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("it was written by a writer")
}

/// Killed at any moment, a writer leaves the old or the new, of each.
#[test]
fn a_writer_that_is_killed_leaves_the_old_or_the_new() {
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..25u64 {
        let mut child = common::test_process("writer", DIRECTORY, folder.path());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // As many as it takes to have put some, and a moment that is never the same.
        let numbers = lines.filter_map(|line| line.unwrap().parse::<u64>().ok());
        let acknowledged: Vec<u64> = numbers.take(5 + round as usize * 7).collect();
        std::thread::sleep(std::time::Duration::from_micros(round * 311 % 1700));
        child.kill().unwrap();
        child.wait().unwrap();
        let said = *acknowledged.last().unwrap();
        assert!(said >= last);
        let mut store = DirectoryStore::open(folder.path()).unwrap();
        assert_eq!(store.len() as u64, KEYS);
        let found: Vec<u64> = (0..KEYS)
            .map(|key| {
                let bytes = store.get(key).unwrap().unwrap();
                let n = number_in(&bytes);
                assert!(bytes == version(key, n), "what is there is whole");
                n
            })
            .collect();
        // They are put one after the other.
        assert!(found.windows(2).all(|pair| pair[0] == pair[1] || pair[0] == pair[1] + 1));
        assert!(found[0] <= found[KEYS as usize - 1] + 1 && found[0] >= said, "{said} {found:?}");
        last = found[KEYS as usize - 1];
    }
}

/// A process is gone, and another takes in what the first had hibernated.
#[test]
fn another_process_takes_in_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let mut w = world();
    let c = w.sched.find_channel("talk").unwrap();
    let store = DirectoryStore::open(folder.path()).unwrap();
    w.sched.set_store(store, Hibernation::after_turns(0)).unwrap();
    spawn(&mut w, "receiver");
    spawn(&mut w, "receiver");
    w.sched.run(Budget::unlimited()).unwrap();
    assert_eq!(w.sched.hibernated(), 2);
    w.sched.try_send(c, Message::Data(vec![1])).unwrap();
    w.sched.run(Budget::unlimited()).unwrap();
    assert_eq!(w.log.take(), [1, 1, 0]);
    drop(w);
    let mut w = World { sched: Scheduler::new(&common::engine()), ..world() };
    let c = w.sched.channel("talk", ChannelOptions::default()).unwrap();
    let mut store = DirectoryStore::open(folder.path()).unwrap();
    let keys = store.keys().unwrap();
    // The end of the first was not written down before there was something to write.
    assert_eq!(keys, [1, 2]);
    let options = LoadOptions::default().host(w.log.host());
    let id = w.sched.load_stored(&mut store, 2, options).unwrap();
    w.sched.set_store(store, Hibernation::after_turns(0)).unwrap();
    w.sched.insert(id).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Deadlock(vec![id]));
    w.sched.hibernate(id).unwrap();
    assert_eq!(w.sched.store_mut().unwrap().keys().unwrap(), [1, 2, 2 + id.number()]);
    w.sched.try_send(c, Message::Data(vec![2, 3])).unwrap();
    assert_eq!(w.sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(w.log.take(), [2, 2, 1]);
}
