//! WASI as the engine wires it: output, exit, waiting, moving.

mod common;

use common::{module, reload};
use tasklet_engine::wasi::{Capture, Clock, Output, RestoreOptions, WasiOptions};
use tasklet_engine::{Entry, ErrorKind, Host, Outcome, SnapshotOptions, Tasklet};

/// Writes `hi\n`, sleeps 1 s of guest time, writes again and exits with 7.
const SLEEPER: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write"
      (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff"
      (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\03\00\00\00")
    (data (i32.const 16) "hi\n")
    ;; A subscription: userdata, clock, monotonic, 1 s, relative.
    (data (i32.const 64) "\2a\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00\00\ca\9a\3b\00\00\00\00")
    (func $say (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32))))
    (func (export "_start")
      (call $say)
      (if (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 40))
        (then unreachable))
      (call $say)
      (call $exit (i32.const 7))
      unreachable))"#;

fn host(clock: Clock) -> (Host, Capture) {
    let (stdout, capture) = Output::capture();
    let options = WasiOptions { stdout, clock, ..WasiOptions::default() };
    (Host::builder().wasi(options).build(), capture)
}

fn restored() -> (Host, Capture) {
    let (stdout, capture) = Output::capture();
    let options = RestoreOptions { stdout, ..RestoreOptions::default() };
    (Host::builder().wasi_restore(options).build(), capture)
}

#[test]
fn a_waiting_tasklet_moves() {
    let module = module(SLEEPER);
    let (first, said) = host(Clock::default());
    let mut tasklet = Tasklet::spawn(&module, first, Entry::Command).unwrap();
    let Outcome::Waiting(wait) = tasklet.run(u64::MAX).unwrap() else { panic!("it must wait") };
    assert_eq!(tasklet.waiting(), Some(&wait));
    assert_eq!(said.bytes(), b"hi\n");
    let steps = tasklet.steps_used().unwrap();
    let (second, said) = restored();
    let mut tasklet = reload(&mut tasklet, second);
    assert_eq!(tasklet.steps_used().unwrap(), steps);
    let outcome = loop {
        match tasklet.run(u64::MAX).unwrap() {
            Outcome::Waiting(_) => tasklet.wait(),
            outcome => break outcome,
        }
    };
    assert_eq!(outcome, Outcome::Exited(7));
    assert_eq!(said.bytes(), b"hi\n");
    let used = tasklet.steps_used().unwrap();
    assert!(used > steps);
    let mut ended = reload(&mut tasklet, restored().0);
    assert_eq!(ended.run(1).unwrap(), Outcome::Exited(7));
    assert_eq!(ended.steps_used().unwrap(), used);
}

#[test]
fn an_interrupt_ends_the_wait() {
    let module = module(SLEEPER);
    let mut tasklet = Tasklet::spawn(&module, host(Clock::default()).0, Entry::Command).unwrap();
    assert!(matches!(tasklet.run(u64::MAX).unwrap(), Outcome::Waiting(_)));
    tasklet.handle().interrupt();
    tasklet.wait();
    assert_eq!(tasklet.run(u64::MAX).unwrap(), Outcome::Interrupted);
    assert!(matches!(tasklet.run(u64::MAX).unwrap(), Outcome::Waiting(_)));
}

#[test]
fn exit_and_waiting_inside_a_callback() {
    let wat = SLEEPER
        .replace("(memory", r#"(import "host" "back" (func $back)) (memory"#)
        .replace("_start", "inner")
        .replace("(func $say", r#"(func (export "_start") (call $back)) (func $say"#)
        .replace("\\00\\ca\\9a\\3b", "\\00\\10\\00\\00");
    let module = module(&wat);
    let (stdout, said) = Output::capture();
    let host = Host::builder()
        .wasi(WasiOptions { stdout, ..WasiOptions::default() })
        .func("host", "back", &[], &[], |ctx, _| ctx.call_export("inner", &[]))
        .build();
    let mut tasklet = Tasklet::spawn(&module, host, Entry::Command).unwrap();
    assert_eq!(tasklet.run(3).unwrap(), Outcome::Exited(7));
    assert_eq!(said.bytes(), b"hi\nhi\n");
}

#[test]
fn what_wasi_cannot_give_is_named() {
    let module = module(SLEEPER);
    let error = Tasklet::spawn(&module, Host::empty(), Entry::Command).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Import);
    assert!(error.to_string().contains("`HostBuilder::wasi`"), "{error}");

    let wat = r#"(module (import "wasi_snapshot_preview1" "fd_open" (func))
        (func (export "_start")))"#;
    let other = common::module(wat);
    let error = Tasklet::spawn(&other, host(Clock::default()).0, Entry::Command).map(drop);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("WASI preview 1 has no such function"), "{error}");

    let mut tasklet = Tasklet::spawn(&module, host(Clock::default()).0, Entry::Command).unwrap();
    let good = tasklet.snapshot(&SnapshotOptions::default()).unwrap();
    let mut bad = good.clone();
    bad.host[0].1 = tasklet_engine::snapshot::HostValue::Null;
    let load = |snapshot: &_, host| {
        let digest = tasklet_engine::Digest([0; 32]);
        Tasklet::load(&module, snapshot, digest, host).map(drop).unwrap_err().kind()
    };
    assert_eq!(load(&bad, restored().0), ErrorKind::Snapshot);
    assert_eq!(load(&good, host(Clock::default()).0), ErrorKind::Unsupported);
}
