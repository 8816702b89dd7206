//! Hosts that fail: full disks, killed processes. Nothing is lost that was there, and a
//! deterministic program is told nothing of it.

#![cfg(unix)]

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{Bench, Run, words};

fn full() -> File {
    File::options().write(true).open("/dev/full").expect("there is a full device")
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_no_answer() {
    let bench = Bench::new();
    let command = "run @counter --deterministic --steps 1k";
    let whole = bench.run(words(command)).exits(124);
    let to_full = |args: &str| {
        Run::of(bench.command(words(args)).stdout(full()).stderr(Stdio::piped()).output().unwrap())
    };
    to_full(command)
        .exits(71)
        .says("the host failed: cannot write to the program's standard output");
    bench.run(words("run @counter --deterministic --steps 100 -o a.cbor")).exits(75);
    let failed = to_full(&format!("{command} -o t.cbor")).exits(71);
    failed.says("saved as it stood before that").says("tasklet resume t.cbor");
    // It goes on as if nothing had been, and can prove it.
    bench.run(words("verify a.cbor t.cbor")).exits(0);
    let json = bench.run(words("inspect t.cbor --format json")).exits(0).json();
    let used = json["steps_used"].as_u64().unwrap() as i64 + json["balance"].as_i64().unwrap();
    let rest = bench.run(words(&format!("resume t.cbor --steps {}", 1000 - used))).exits(124);
    assert_eq!(rest.text(), whole.text());
    // An ordinary program is told, and copes as it likes.
    to_full("run @counter --steps 1k").exits(124);
}

/// An allocation that fails ends a process: where nothing could run that is said before.
#[cfg(target_os = "linux")]
#[test]
fn too_little_address_space_is_told() {
    let bench = Bench::new();
    let inner = bench.command(words("run @counter --steps 10"));
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 102400 && exec \"$0\" \"$@\""]);
    limited.arg(inner.get_program()).args(inner.get_args());
    limited.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = inner.get_current_dir() {
        limited.current_dir(folder);
    }
    let run = Run::of(limited.stdin(Stdio::null()).output().unwrap());
    run.exits(65).says("104857600 bytes of address space");
}

/// The same of a file of the program's: a limit on its size plays the disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_no_answer_for_files_either() {
    let bench = Bench::new();
    fs::create_dir(bench.path("d")).unwrap();
    // Appends 100 KB twenty times, and exits with the first error number.
    let text = r#"(module
        (import "wasi_snapshot_preview1" "path_open" (func $open
          (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write
          (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 2) (data (i32.const 64) "log")
        (func $must (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))
        (func (export "_start") (local $n i32)
          (call $must (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 3)
            (i32.const 1) (i64.const 64) (i64.const 64) (i32.const 1) (i32.const 16)))
          (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 100000))
          (memory.fill (i32.const 1024) (i32.const 65) (i32.const 100000))
          (loop $l
            (call $must (call $write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1)
              (i32.const 8)))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $l (i32.lt_u (local.get $n) (i32.const 20))))))"#;
    bench.write("log.wasm", wat::parse_str(text).unwrap());
    bench.run(words("check log.wasm")).exits(0);
    // The cache is filled before the limit is set, which would be its limit, too.
    bench.run(words("run log.wasm --deterministic --dir d --steps 1 -o first.cbor")).exits(75);
    let limited = |args: &str| {
        let mut shell = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f 2000; \"$T\" {args}");
        bench.at_home(&mut shell).args(["-c", &script]).env("T", env!("CARGO_BIN_EXE_tasklet"));
        Run::of(shell.output().unwrap())
    };
    let args = "run log.wasm --no-cache --deterministic --dir d --no-embed-module -o t.cbor";
    limited(args).exits(71).says("the host failed: fd_write");
    // Of the append that failed nothing is left.
    assert_eq!(fs::metadata(bench.path("d/log")).unwrap().len(), 1_000_000);
    bench.run(words("resume t.cbor --dir d --module log.wasm")).exits(0);
    assert_eq!(fs::metadata(bench.path("d/log")).unwrap().len(), 2_000_000);
    fs::remove_file(bench.path("d/log")).unwrap();
    // Too large a file, as wasmtime tells it.
    limited("run log.wasm --no-cache --dir d").exits(22);
}

/// Whatever the moment at which a writer is killed, the old snapshot is there or the new one, and
/// what it left behind is gone after the next write.
#[test]
fn killed_while_saving() {
    let bench = Bench::new();
    // Two megabytes, all different at each pause, so that saving takes time.
    let text = r#"(module (memory (export "memory") 128)
        (func (export "_start") (local $at i32) (local $x i64)
          (local.set $x (i64.const 88172645463325252))
          (loop $l
            (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
            (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
            (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
            (i64.store (local.get $at) (local.get $x))
            (local.set $at (i32.and (i32.add (local.get $at) (i32.const 8)) (i32.const 0x7fffff)))
            (br $l))))"#;
    bench.write("noise.wasm", wat::parse_str(text).unwrap());
    bench.run(words("run noise.wasm --steps 40M -o t.cbor")).exits(75);
    let granted = || {
        let json = bench.run(words("inspect t.cbor --format json")).exits(0).json();
        json["steps_used"].as_i64().unwrap() + json["balance"].as_i64().unwrap()
    };
    let resume = "resume t.cbor --steps 1k -o t.cbor";
    // Something of the new file is there, under its temporary name.
    let is_writing = || {
        let entries = fs::read_dir(bench.path(".")).unwrap().flatten();
        let mut ours =
            entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(".t.cbor"));
        ours.any(|entry| entry.metadata().is_ok_and(|metadata| metadata.len() > 0))
    };
    let (mut before, mut old, mut new) = (granted(), 0, 0);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) || old + new < 10 {
        let mut child = bench.command(words(resume)).stderr(Stdio::null()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() && !is_writing() {
            std::thread::sleep(Duration::from_micros(50));
        }
        // From the very begin of it to behind its end.
        std::thread::sleep(Duration::from_millis((old + new) * 7 % 40));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = granted();
        assert!(now == before || now == before + 1000, "{before}, then {now}");
        match now == before {
            true => old += 1,
            false => new += 1,
        }
        before = now;
        // Else the next begins with something that looks as if it was written.
        if old + new < 5 {
            bench.run(words(resume)).exits(75);
            before += 1000;
            assert_eq!(bench.files(), ["noise.wasm", "t.cbor"], "what was left is removed");
        } else {
            bench.files().iter().filter(|name| name.ends_with(".tmp")).for_each(|name| {
                fs::remove_file(bench.path(name)).unwrap();
            });
        }
    }
    println!("killed {} times: {old} times the old snapshot, {new} times the new one", old + new);
    assert!(old > 0, "none was killed in the middle of it");
    bench.run(words(resume)).exits(75);
    assert_eq!(bench.files(), ["noise.wasm", "t.cbor"]);
}

#[cfg(target_os = "linux")]
#[test]
fn no_address_space() {
    let bench = Bench::new();
    bench.run(words("run @fib")).exits(0);
    for megabytes in [400, 1000, 4000, 6000] {
        let mut shell = Command::new("sh");
        let script =
            format!("ulimit -v {megabytes}000; \"$T\" run --deterministic \"$G\" -o t.cbor");
        bench.at_home(&mut shell).args(["-c", &script]).env("T", env!("CARGO_BIN_EXE_tasklet"));
        let run = Run::of(shell.env("G", crate::bench::guest("fib")).output().unwrap());
        println!(
            "{megabytes} MB: {:?} {}",
            run.code,
            run.stderr.lines().next().unwrap_or_default()
        );
        assert!(matches!(run.code, Some(71)), "{megabytes} MB: {:?} {}", run.code, run.stderr);
        assert!(bench.files().is_empty());
    }
}
