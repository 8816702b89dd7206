//! What loading takes at its peak. Alone in its process, whose high-water mark it reads.

#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::io::Write;

use common::module;
use tasklet_engine::snapshot::Limits;
use tasklet_engine::{
    Claim, Compressor, Entry, Host, Outcome, Snapshot, SnapshotFile, SnapshotOptions, Tasklet,
    Verdict, verify,
};

/// Fills 64 MiB with noise, over and over.
const NOISE: &str = r#"(module (memory (export "memory") 1024)
    (func (export "_start") (local $at i32) (local $x i64)
      (local.set $x (i64.const 88172645463325252))
      (loop $l
        (local.set $x (i64.add (i64.mul (local.get $x) (i64.const 6364136223846793005))
                               (i64.const 1442695040888963407)))
        (i64.store (local.get $at) (i64.shr_u (local.get $x) (i64.const 20)))
        (local.set $at (i32.and (i32.add (local.get $at) (i32.const 8)) (i32.const 0x3ffffff)))
        (br $l))))"#;
const MEMORY_MB: u64 = 64;

fn status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with(field)).expect("a field of it");
    let number: String = line.chars().filter(char::is_ascii_digit).collect();
    number.parse::<u64>().expect("a number of KiB") / 1024
}

/// What `work` returns, and the megabytes by which the process was larger meanwhile.
fn peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    fs::write("/proc/self/clear_refs", "5").expect("the mark can be reset");
    let before = status("VmRSS");
    let value = work();
    (value, status("VmHWM").saturating_sub(before))
}

#[test]
fn what_is_read_is_held_once() {
    let module = module(NOISE);
    let mut tasklet = Tasklet::spawn(&module, Host::empty(), Entry::Command).unwrap();
    assert_eq!(tasklet.run(150_000_000).unwrap(), Outcome::OutOfBudget);
    let folder = tempfile::tempdir().unwrap();
    let save = |tasklet: &mut Tasklet, name: &str| {
        let path = folder.path().join(name);
        let mut out = Compressor::new(fs::File::create(&path).unwrap(), 1).unwrap();
        tasklet.dump(&mut out, &SnapshotOptions::default()).unwrap();
        out.finish().unwrap().flush().unwrap();
        path
    };
    let first = save(&mut tasklet, "first");
    assert_eq!(tasklet.run(1000).unwrap(), Outcome::OutOfBudget);
    let second = save(&mut tasklet, "second");
    drop(tasklet);

    let open = |path| SnapshotFile::open(path, &Limits::DEFAULT).unwrap();
    let ((), mb) = peak(|| {
        let file = open(&first);
        let (snapshot, digest) = file.snapshot(&Limits::DEFAULT).unwrap();
        let mut tasklet = Tasklet::load_owned(&module, snapshot, digest, Host::empty()).unwrap();
        assert_eq!(tasklet.run(1000).unwrap(), Outcome::OutOfBudget);
    });
    println!("load: {mb} MB for {MEMORY_MB}");
    assert!((MEMORY_MB..MEMORY_MB * 3 / 2).contains(&mb), "{mb} MB");

    let (verdict, mb) = peak(|| {
        let files = (open(&first), open(&second));
        let from: (Snapshot<'_>, _) = files.0.snapshot(&Limits::DEFAULT).unwrap();
        let (to, digest) = files.1.snapshot(&Limits::DEFAULT).unwrap();
        let claim = Claim { snapshot: &to, digest, base: None };
        verify(&module, from, claim, Host::empty(), u64::MAX).unwrap()
    });
    println!("verify: {mb} MB for twice {MEMORY_MB}");
    assert_eq!(verdict, Verdict::Follows { direct: true });
    assert!((2 * MEMORY_MB..MEMORY_MB * 5 / 2).contains(&mb), "{mb} MB");
}
