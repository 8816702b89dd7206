//! What a host cannot do is no answer for a deterministic guest: another host would not give it.

mod common;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use common::invoke;
use tasklet_engine::snapshot::Limits as ReadLimits;
use tasklet_engine::wasi::{Clock, Output, RestoreOptions, WasiOptions};
use tasklet_engine::{
    Budget, CacheMode, Claim, Digest, Engine, EngineOptions, Entry, Error, ErrorKind, Host, Limits,
    Module, Outcome, RunResult, Scheduler, Snapshot, SnapshotOptions, Spawn, Status, Tasklet,
    Value, Verdict, verify,
};

fn module(deterministic: bool, wat: &str) -> Module {
    let mut options = EngineOptions::default();
    options.cache = CacheMode::Off;
    options.deterministic = deterministic;
    let engine = Engine::new(&options).unwrap();
    Module::load(&engine, &wat::parse_str(wat).unwrap()).unwrap()
}

/// Writes eleven bytes forty times; its result is the sum of the error numbers.
const PRINTER: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write"
      (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1) (global $errors (mut i32) (i32.const 0))
    (data (i32.const 64) "hello disk\n")
    (func (export "f") (result i32) (local $n i32)
      (i32.store (i32.const 0) (i32.const 64))
      (i32.store (i32.const 4) (i32.const 11))
      (loop $l
        (global.set $errors (i32.add (global.get $errors)
          (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $n) (i32.const 40))))
      (global.get $errors)))"#;

/// A disk with so many bytes left, of which it takes up to seven at once.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

impl Disk {
    fn with_room(room: usize) -> Disk {
        Disk(Arc::new(Mutex::new((room, Vec::new()))))
    }

    fn grant(&self, room: usize) {
        self.0.lock().unwrap().0 += room;
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().1.clone()).unwrap()
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (room, written) = &mut *self.0.lock().unwrap();
        let count = bytes.len().min(*room).min(7);
        if count == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *room -= count;
        written.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn printing_to(disk: &Disk) -> Host {
    let stdout = Output::new(disk.clone());
    let options = WasiOptions { clock: Clock::Virtual, stdout, ..WasiOptions::default() };
    Host::builder().wasi(options).build()
}

fn restored_to(disk: &Disk) -> Host {
    let stdout = Output::new(disk.clone());
    let options = RestoreOptions { stdout, ..RestoreOptions::default() };
    Host::builder().wasi_restore(options).build()
}

type Saved = (Snapshot<'static>, Digest);

fn save(tasklet: &mut Tasklet) -> Saved {
    let mut bytes = Vec::new();
    tasklet.dump(&mut bytes, &SnapshotOptions::default()).unwrap();
    Snapshot::read_from(&mut &bytes[..], &ReadLimits::DEFAULT).unwrap()
}

fn claim((snapshot, digest): &Saved) -> Claim<'_> {
    Claim { snapshot, digest: *digest, base: None }
}

/// Output, steps and result of a run on a disk that is large enough.
fn undisturbed(module: &Module) -> (String, u64) {
    let disk = Disk::with_room(usize::MAX);
    let mut tasklet = Tasklet::spawn(module, printing_to(&disk), invoke("f", &[])).unwrap();
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(0)]));
    (disk.text(), tasklet.steps_used().unwrap())
}

/// The run stands where it stood: when there is room it goes on, and no byte is lost or doubled.
#[test]
fn a_full_disk_is_waited_out() {
    let module = module(true, PRINTER);
    let (text, steps) = undisturbed(&module);
    for (first, more) in [(0, 1), (5, 3), (11, 11), (100, 40)] {
        let disk = Disk::with_room(first);
        let mut tasklet = Tasklet::spawn(&module, printing_to(&disk), invoke("f", &[])).unwrap();
        let mut failures = 0;
        let outcome = loop {
            match tasklet.run(1_000_000) {
                Err(Error::HostFailed { what }) => {
                    assert!(what.contains("standard output"), "{what}");
                    failures += 1;
                    disk.grant(more);
                }
                other => break other.unwrap(),
            }
        };
        assert_eq!(outcome, Outcome::Finished(vec![Value::I32(0)]));
        assert_eq!((disk.text(), tasklet.steps_used().unwrap()), (text.clone(), steps));
        assert!(failures >= (text.len() - first) / more.max(11), "{failures}");
    }
}

/// It can be written down there, moved, and what it says can be verified.
#[test]
fn it_moves_from_where_the_host_failed() {
    let module = module(true, PRINTER);
    let (text, steps) = undisturbed(&module);
    for lines in [0, 1, 17, 39] {
        let disk = Disk::with_room(lines * 11);
        let mut tasklet = Tasklet::spawn(&module, printing_to(&disk), invoke("f", &[])).unwrap();
        assert_eq!(tasklet.run(0).unwrap(), Outcome::OutOfBudget);
        let begin = save(&mut tasklet);
        let error = tasklet.run(1_000_000).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostFailed, "{error}");
        let failed = save(&mut tasklet);
        let other = Disk::with_room(usize::MAX);
        let verdict =
            verify(&module, begin.clone(), claim(&failed), restored_to(&other), u64::MAX).unwrap();
        assert_eq!(verdict, Verdict::Follows { direct: true }, "{lines} lines");
        let other = Disk::with_room(usize::MAX);
        let mut moved = Tasklet::load(&module, &failed.0, failed.1, restored_to(&other)).unwrap();
        assert_eq!(moved.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(0)]));
        assert_eq!(disk.text() + &other.text(), text);
        assert_eq!(moved.steps_used().unwrap(), steps);
        let end = save(&mut moved);
        let other = Disk::with_room(usize::MAX);
        let verdict =
            verify(&module, failed.clone(), claim(&end), restored_to(&other), u64::MAX).unwrap();
        assert_eq!(verdict, Verdict::Follows { direct: true }, "{lines} lines");
        // That it failed somewhere else is no excuse.
        let mut forged = failed;
        forged.0.steps_used += 1;
        let other = Disk::with_room(usize::MAX);
        let verdict =
            verify(&module, begin.clone(), claim(&forged), restored_to(&other), u64::MAX).unwrap();
        assert!(matches!(verdict, Verdict::Differs(_)), "{verdict:?}");
    }
}

/// An ordinary guest is told, as wasmtime tells it.
#[test]
fn an_ordinary_guest_is_told() {
    let module = module(false, PRINTER);
    let disk = Disk::with_room(0);
    let options = WasiOptions { stdout: Output::new(disk), ..WasiOptions::default() };
    let host = Host::builder().wasi(options).build();
    let mut tasklet = Tasklet::spawn(&module, host, invoke("f", &[])).unwrap();
    let nospc = 51;
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(vec![Value::I32(40 * nospc)]));
}

const GROWER: &str = r#"(module (memory i64 1)
    (func (export "f") (param i64) (result i64) (memory.grow (local.get 0))))"#;

/// 256 TiB, which the limit allows and no host has.
const TOO_MUCH: i64 = 1 << 32;

fn grow(deterministic: bool, pages: i64, memory_bytes: u64) -> Tasklet {
    let mut limits = Limits::default();
    limits.memory_bytes = memory_bytes;
    let host = Host::builder().limits(limits).build();
    let module = module(deterministic, GROWER);
    Tasklet::spawn(&module, host, invoke("f", &[Value::I64(pages)])).unwrap()
}

/// What the limit refuses is -1 to every guest; what only this host lacks, to an ordinary one.
#[test]
fn growth_beyond_the_host() {
    let refused = Outcome::Finished(vec![Value::I64(-1)]);
    for (deterministic, pages, memory_bytes) in
        [(true, 100, 1 << 20), (false, 100, 1 << 20), (false, TOO_MUCH, u64::MAX)]
    {
        let mut tasklet = grow(deterministic, pages, memory_bytes);
        assert_eq!(tasklet.run(u64::MAX).unwrap(), refused);
        save(&mut tasklet);
    }
    // Nothing can be unwound there. That is neither an end nor a state of the program's.
    let mut tasklet = grow(true, TOO_MUCH, u64::MAX);
    for _ in 0..2 {
        let error = tasklet.run(u64::MAX).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostFailed);
        assert!(error.to_string().contains("the tasklet is lost"), "{error}");
    }
    let error = tasklet.snapshot(&SnapshotOptions::default()).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostFailed);
}

#[test]
fn no_native_stack() {
    let mut options = EngineOptions::default();
    options.cache = CacheMode::Off;
    let engine = Engine::new(&options).unwrap();
    options.stack_bytes = usize::MAX >> 2;
    let Ok(greedy) = Engine::new(&options) else { return };
    drop(engine);
    let module = Module::load(&greedy, &wat::parse_str(GROWER).unwrap()).unwrap();
    let entry = invoke("f", &[Value::I64(1)]);
    let mut tasklet = Tasklet::spawn(&module, Host::empty(), entry).unwrap();
    assert_eq!(tasklet.run(u64::MAX).unwrap_err().kind(), ErrorKind::HostFailed);
    assert_eq!(tasklet.steps_used().unwrap(), 0);
}

/// The same of files: a limit on their size plays the disk, in `cli/tests`.
#[test]
fn what_is_not_the_hosts_is_told() {
    let wat = r#"(module
        (import "wasi_snapshot_preview1" "fd_write"
          (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start")
          (if (i32.ne (i32.const 8)
                (call $write (i32.const 9) (i32.const 0) (i32.const 1) (i32.const 8)))
            (then unreachable))))"#;
    let host = printing_to(&Disk::default());
    let mut tasklet = Tasklet::spawn(&module(true, wat), host, Entry::Command).unwrap();
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Finished(vec![]));
}

/// In a scheduler it is paused then, and the others stand where they stood.
#[test]
fn others_are_not_concerned() {
    let module = module(true, PRINTER);
    let (text, _) = undisturbed(&module);
    let disk = Disk::with_room(100);
    let mut sched = Scheduler::new(module.engine());
    let spawn = |sched: &mut Scheduler, disk: &Disk| {
        let spawn = Spawn::new(invoke("f", &[])).host(printing_to(disk));
        sched.spawn(&module, spawn).unwrap()
    };
    let failing = spawn(&mut sched, &disk);
    let other = spawn(&mut sched, &Disk::with_room(usize::MAX));
    let error = sched.run(Budget::unlimited()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostFailed);
    assert!(sched.flags(failing).paused);
    assert_eq!(sched.ready(), [other]);
    assert_eq!(sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    disk.grant(usize::MAX >> 1);
    sched.insert(failing).unwrap();
    assert_eq!(sched.run(Budget::unlimited()).unwrap(), RunResult::Finished);
    assert_eq!(disk.text(), text);
    for id in [failing, other] {
        assert_eq!(sched.end(id), Some(&Status::Finished(vec![Value::I32(0)])));
    }
}
