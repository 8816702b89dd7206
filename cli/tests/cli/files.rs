//! Files appear whole or not at all; modules are embedded, cached or given.

use std::fs;

use crate::bench::{Bench, guest, words};

#[test]
fn module_left_out() {
    let bench = Bench::with_own_cache();
    let run = "run @counter --steps 575 --seed 1 --clock virtual";
    bench.run(words(&format!("{run} -o with.cbor"))).exits(75);
    bench.run(words(&format!("{run} --no-embed-module -o t.cbor"))).exits(75);
    let module = fs::read(guest("counter")).unwrap();
    let holds = |name: &str| bench.read(name).windows(module.len()).any(|part| part == module);
    assert!(holds("with.cbor") && !holds("t.cbor"));
    let resume = "resume t.cbor --steps 575";
    bench.run(words(resume)).exits(124).prints("30\n40\n50\n");

    // On another machine the cache is empty.
    let other = Bench::with_own_cache();
    other.write("t.cbor", bench.read("t.cbor"));
    other.run(words(resume)).exits(66).prints("").says("--module");
    other.run(words(&format!("{resume} --module @fib"))).exits(76).prints("");
    other.run(words(&format!("{resume} --module {}", guest("counter")))).exits(124);
    let names = other.run(words("inspect t.cbor")).exits(0);
    assert!(names.text().contains("not found"));
    bench.run(words(&format!("{resume} --no-cache"))).exits(66).says("--module");
    bench
        .run(words("run @counter --steps 575 --no-embed-module --no-cache -o t.cbor"))
        .exits(75)
        .says("resume needs --module");
}

#[cfg(unix)]
#[test]
fn modes_and_links() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    std::os::unix::fs::symlink("real.cbor", bench.path("link.cbor")).unwrap();
    bench.write("real.cbor", "old");
    bench.run(words("run @counter --steps 1k -o link.cbor")).exits(75);
    assert!(fs::symlink_metadata(bench.path("link.cbor")).unwrap().is_symlink());
    bench.run(words("resume real.cbor --steps 1")).exits(124);
    // It holds all of the guest's memory.
    let mode = fs::metadata(bench.path("real.cbor")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A device is written to, not replaced.
    bench.run(words("run @counter --steps 1k -o /dev/null")).exits(75);
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

/// A disk that fills up while the snapshot is written, played by a limit on the size of files.
#[cfg(unix)]
#[test]
fn a_failed_write_leaves_the_old_file() {
    let bench = Bench::new();
    bench.run(words("run @counter --steps 575 -o t.cbor")).exits(75);
    let before = bench.read("t.cbor");
    let script =
        r#"trap '' XFSZ; ulimit -f 4; "$T" resume t.cbor --no-cache --steps 575 -o t.cbor"#;
    let mut shell = std::process::Command::new("sh");
    bench.at_home(&mut shell).args(["-c", script]).env("T", env!("CARGO_BIN_EXE_tasklet"));
    let run = crate::bench::Run::of(shell.output().unwrap()).exits(74).says("t.cbor");
    assert_eq!(run.text(), "30\n40\n50\n");
    assert_eq!(bench.read("t.cbor"), before);
    assert_eq!(bench.files(), ["t.cbor"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device() {
    let bench = Bench::new();
    bench.run(words("run @counter --steps 575 -o /dev/full")).exits(74).says("/dev/full");
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let run = bench.command(words("inspect --help")).stdout(full).status().unwrap();
    assert!(run.code().is_some(), "help on a full device is no panic");
}

#[test]
fn instrumented_module() {
    let bench = Bench::new();
    bench.run(words("instrument @fib -o fib.wasm")).exits(0).prints("");
    let piped = bench.run(words("instrument @fib -o -")).exits(0);
    assert_eq!(piped.stdout, bench.read("fib.wasm"));
    assert!(piped.stdout.starts_with(b"\0asm"));
    // It is no input for a second time.
    bench.run(words("check fib.wasm")).exits(65).says("fib.wasm");
}

#[test]
fn report() {
    let bench = Bench::new();
    bench.run(words("run @counter --steps 575 -o t.cbor --report r.json")).exits(75);
    let read = || serde_json::from_slice::<serde_json::Value>(&bench.read("r.json")).unwrap();
    let first = read();
    assert_eq!(first["status"], "paused");
    assert_eq!(first["reason"], "out-of-budget");
    assert_eq!(first["exit_code"], 75);
    assert_eq!(first["snapshot"], "t.cbor");
    assert_eq!(first["sizes"]["snapshot"], bench.read("t.cbor").len());
    assert_eq!(first["hashes"]["parent"], serde_json::Value::Null);
    let balance = |report: &serde_json::Value| {
        report["steps_used"].as_i64().unwrap() + report["balance"].as_i64().unwrap()
    };
    assert_eq!(balance(&first), 575);
    bench.run(words("resume t.cbor --steps 575 -o t.cbor --report r.json")).exits(75);
    let second = read();
    assert_eq!(balance(&second), 2 * 575);
    assert_eq!(second["hashes"]["parent"], first["hashes"]["snapshot"]);
    assert_eq!(second["hashes"]["module"], first["hashes"]["module"]);
    let slice = second["steps_used"].as_u64().unwrap() - first["steps_used"].as_u64().unwrap();
    assert_eq!(second["steps_slice"], slice);

    bench.run(words("run @trap --report r.json")).exits(134);
    assert_eq!(read()["status"], "trapped");
    assert_eq!(read()["steps_exact"], false);
    assert_eq!(read()["outcome"]["backtrace"][0]["name"], "bottom");
    bench.run(words("run @exports --invoke gcd 1071 462 --report r.json")).exits(0);
    assert_eq!(read()["outcome"]["results"][0]["value"], "21");
    bench.run(words("run @exit 7 --report r.json")).exits(7);
    assert_eq!(read()["outcome"]["code"], 7);
}
