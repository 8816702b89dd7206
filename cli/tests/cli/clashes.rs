//! Outputs that would take the place of inputs, and inputs that are none.

use crate::bench::{Bench, guest, words};

/// Runs it, and checks that all files are as they were.
#[track_caller]
fn refused(bench: &Bench, args: &str, code: i32, message: &str) {
    let read = || -> Vec<_> {
        bench
            .files()
            .iter()
            .map(|name| (name.clone(), std::fs::read(bench.path(name)).ok()))
            .collect()
    };
    let before = read();
    let run = bench.run(words(args)).exits(code).says(message);
    assert_eq!(run.text(), "", "{args}: nothing has run");
    assert!(read() == before, "{args}");
}

#[test]
fn outputs_do_not_take_the_place_of_inputs() {
    let bench = Bench::new();
    std::fs::copy(guest("counter"), bench.path("m.wasm")).unwrap();
    std::fs::create_dir(bench.path("d")).unwrap();
    bench.write("in.txt", "1\n");
    bench.run(words("run m.wasm --steps 575 -o a.cbor")).exits(75);
    bench.run(words("resume a.cbor --steps 575 --base a.cbor -o b.cbor")).exits(75);
    bench.run(words("run m.wasm --steps 575 --no-embed-module -o bare.cbor")).exits(75);
    for (args, message) in [
        ("run m.wasm --steps 1 -o m.wasm", "the module, `m.wasm`"),
        ("run m.wasm --steps 1 -o ./d/../m.wasm", "the module, `m.wasm`"),
        ("run m.wasm --steps 1 --report m.wasm", "--report would overwrite the module"),
        ("run m.wasm --steps 1 --stdin in.txt -o in.txt", "the program's input, `in.txt`"),
        ("run m.wasm --steps 1 -o new.cbor --report new.cbor", "would overwrite -o, `new.cbor`"),
        ("run m.wasm --steps 1 --base a.cbor -o a.cbor", "-o would overwrite the base"),
        ("resume b.cbor --steps 1 --base b.cbor -o b.cbor", "-o would overwrite the base"),
        ("resume b.cbor --steps 1 -o a.cbor", "a base of the snapshot, `./a.cbor`"),
        ("resume b.cbor --steps 1 --find-base a.cbor -o a.cbor", "a base, `a.cbor`"),
        ("resume bare.cbor --module m.wasm --steps 1 -o m.wasm", "the module, `m.wasm`"),
        ("resume a.cbor --steps 1 --report a.cbor", "the snapshot, `a.cbor`"),
        ("instrument m.wasm -o m.wasm", "the module, `m.wasm`"),
    ] {
        refused(&bench, args, 2, message);
        refused(&bench, args, 2, "another name");
    }
    refused(&bench, "run m.wasm --steps 1 -o d", 74, "`d` is a folder");
    refused(&bench, "run m.wasm --steps 1 -o a.cbor/x", 74, "cannot write `a.cbor/x`: Not a dir");
    let run = bench.run(words("run m.wasm --steps 1 -o a.cbor/x"));
    assert!(!run.stderr.contains("tasklet-"), "{}", run.stderr);
    // What one does all the time: it is replaced by what follows from it, once that is there.
    bench.run(words("resume a.cbor --steps 575 -o a.cbor")).exits(75).prints("30\n40\n50\n");
    bench.run(words("resume a.cbor --steps 575 --map -o a.cbor")).exits(75).prints("60\n70\n80\n");
    let both = bench.run(words("run m.wasm --steps 1 -o /dev/null --report /dev/null"));
    both.exits(if cfg!(unix) { 75 } else { 74 });
}

#[cfg(unix)]
#[test]
fn inputs_without_an_end_are_refused_at_once() {
    use std::process::Command;
    use std::time::{Duration, Instant};
    let bench = Bench::new();
    assert!(Command::new("mkfifo").arg(bench.path("pipe")).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", bench.path("link")).unwrap();
    bench.run(words("run @counter --steps 575 -o a.cbor")).exits(75);
    for command in ["run", "check", "resume", "inspect", "verify a.cbor", "instrument -o x"] {
        for (input, code, message) in [
            ("/dev/zero", 74, "a device or a socket"),
            ("link", 74, "a device or a socket"),
            ("pipe", 74, "a pipe, to which nobody writes"),
            (".", 66, "cannot read `.`: is a directory"),
        ] {
            let begin = Instant::now();
            let run = bench.run(words(&format!("{command} {input}")));
            run.exits(code).says(message);
            assert!(begin.elapsed() < Duration::from_secs(20), "{command} {input}");
        }
    }
    // Endless, and it begins as a module.
    let script = r#"ulimit -v 4000000; (printf '\0asm\1\0\0\0'; cat /dev/zero) > pipe &
        "$T" check pipe; code=$?; kill $! 2>/dev/null; exit $code"#;
    if cfg!(target_os = "linux") {
        let mut shell = Command::new("sh");
        bench.at_home(&mut shell).args(["-c", script]).env("T", env!("CARGO_BIN_EXE_tasklet"));
        crate::bench::Run::of(shell.output().unwrap()).exits(65).says("`pipe` is too large");
    }
}

#[cfg(unix)]
#[test]
fn pipes_are_inputs_like_others() {
    let bench = Bench::new();
    bench.run(words("run @counter --steps 575 -o a.cbor --compress")).exits(75);
    let script = r#"mkfifo m s; cat "$G" > m & "$T" run m --steps 575 -o b.cbor || [ $? = 75 ]
        (head -c 1 a.cbor; sleep 0.1; tail -c +2 a.cbor) > s & "$T" resume s --steps 575
        (head -c 1 a.cbor; sleep 0.1; tail -c +2 a.cbor) | "$T" resume - --steps 575"#;
    let mut shell = std::process::Command::new("sh");
    bench.at_home(&mut shell).args(["-c", script]).env("T", env!("CARGO_BIN_EXE_tasklet"));
    let run = crate::bench::Run::of(shell.env("G", guest("counter")).output().unwrap());
    run.exits(124).prints("10\n20\n30\n40\n50\n30\n40\n50\n");
}
