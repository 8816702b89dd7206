//! Each class of error: its exit code, what is said, and that nothing is left behind.

use crate::bench::{Bench, guest, words};

/// Runs it and checks that no file has appeared.
#[track_caller]
fn fails(bench: &Bench, args: &str, code: i32, message: &str) {
    let before = bench.files();
    let run = bench.run(words(args)).exits(code).says(message);
    assert_eq!(run.text(), "", "{args}");
    assert_eq!(bench.files(), before, "{args}");
}

#[test]
fn usage() {
    let bench = Bench::new();
    for (args, message) in [
        ("", "Usage"),
        ("run", "MODULE"),
        ("walk @fib", "unrecognized subcommand"),
        ("run @fib --steps many", "500, 20k, 1.5M or 2G"),
        ("run @fib --steps -5", "--steps"),
        ("run @fib --max-memory 1x", "64M"),
        ("run @fib --dir :ro", "HOST"),
        ("run @fib -e NO_SUCH_VARIABLE_HERE", "not found"),
        ("run @fib --unknown", "-- --unknown"),
        ("run @exports", "--invoke: started, gcd"),
        ("run @exports --invoke lcm", "--invoke: started, gcd"),
        ("run @exports --invoke gcd 1", "takes 2 arguments (i64, i64)"),
        ("run @exports --invoke gcd 1 two", "`two` is no i64"),
        ("resume - --stdin -", "cannot be both"),
        ("run @fib --dir .::a --dir .::a", "given twice"),
    ] {
        fails(&bench, args, 2, message);
    }
}

#[test]
fn missing_inputs() {
    let bench = Bench::new();
    for args in [
        "run no.wasm -o t.cbor",
        "resume no.cbor -o t.cbor",
        "inspect no.cbor",
        "instrument no.wasm -o out.wasm",
        "check no.wasm",
        "run .",
        "run @fib --dir no::here",
        "run @fib --stdin no.txt",
        "run @fib/no.wasm",
    ] {
        fails(&bench, args, 66, "");
    }
}

#[test]
fn modules_that_are_none() {
    let bench = Bench::new();
    bench.write("empty.wasm", b"");
    bench.write("text.wasm", b"(module)");
    bench.write("component.wasm", b"\0asm\x0d\0\x01\0");
    let fib = std::fs::read(guest("fib")).unwrap();
    bench.write("cut.wasm", &fib[..fib.len() / 2]);
    bench.run(words("run @counter --steps 1k -o t.cbor")).exits(75);
    for command in ["run", "check", "instrument -o out.wasm"] {
        for (file, message) in [
            ("empty.wasm", "is empty"),
            ("text.wasm", "text form"),
            ("component.wasm", "component"),
            ("cut.wasm", "invalid wasm module"),
            ("t.cbor", "is a snapshot, not a module"),
        ] {
            fails(&bench, &format!("{command} {file}"), 65, message);
        }
    }
    fails(&bench, "resume @fib", 65, "is a module, not a snapshot");
}

/// A refusal names the feature, the function and the byte offset.
#[test]
fn refused_features() {
    let bench = Bench::new();
    let text =
        "(module (func $fine) (func $boxed (export \"_start\") (drop (ref.i31 (i32.const 1)))))";
    bench.write("boxed.wasm", wat::parse_str(text).unwrap());
    for args in
        ["run boxed.wasm -o t.cbor", "check boxed.wasm", "instrument boxed.wasm -o out.wasm"]
    {
        fails(&bench, args, 65, "garbage-collected types");
        fails(&bench, args, 65, "function 1 `boxed`");
        fails(&bench, args, 65, "byte offset 0x");
    }
    let run = bench.run(words("check boxed.wasm --format json")).exits(65);
    let json = run.json();
    assert_eq!(json["ok"], false);
    assert_eq!(json["error"]["kind"], "unsupported");
    assert_eq!(json["error"]["function"], 1);
    assert_eq!(json["error"]["name"], "boxed");
    assert!(json["error"]["offset"].as_u64().is_some());
}

#[test]
fn imports_nobody_provides() {
    let bench = Bench::new();
    let text = "(module (import \"env\" \"f\" (func)) (func (export \"_start\") call 0))";
    bench.write("import.wasm", wat::parse_str(text).unwrap());
    fails(&bench, "run import.wasm -o t.cbor", 65, "env::f");
    let json = bench.run(words("check import.wasm --format json")).exits(0).json();
    assert_eq!(json["missing_imports"][0], "env::f");
}

#[test]
fn limits() {
    let bench = Bench::new();
    fails(&bench, "run @fib --max-memory 64k", 65, "--max-memory");
}

#[test]
fn endless_recursion() {
    let bench = Bench::new();
    let text = "(module (func $f (export \"f\") (result i32) (i32.eqz (call $f))))";
    bench.write("deep.wasm", wat::parse_str(text).unwrap());
    let run = bench.run(words("run deep.wasm --invoke f --max-stack 1M")).exits(134);
    let run = run.says("exceed the limit of 1048576").says("many more").says("--max-stack");
    assert!(run.stderr.lines().count() < 80, "{}", run.stderr);
    // A program that goes on deeper than the limit it is given then.
    bench.run(words("run deep.wasm --invoke f --steps 4.1M -o t.cbor")).exits(75);
    bench.run(words("inspect t.cbor")).exits(0);
    bench.run(words("resume t.cbor --steps 1 -o t.cbor")).exits(75);
    bench.run(words("resume t.cbor --max-stack 1M")).exits(134).says("exceed the limit of 1048576");
}

#[test]
fn incompatible() {
    let bench = Bench::new();
    bench.run(words("run @counter --steps 1k -o t.cbor")).exits(75);
    let mut newer = bench.read("t.cbor");
    assert_eq!(newer[21], 3, "the version is behind the format's name");
    newer[21] = 4;
    bench.write("newer.cbor", newer);
    for command in ["resume newer.cbor -o u.cbor", "inspect newer.cbor"] {
        fails(&bench, command, 76, "format version 4");
    }
    for command in ["resume t.cbor -o u.cbor", "inspect t.cbor"] {
        fails(&bench, &format!("{command} --module {}", guest("fib")), 76, "not the module");
    }
}

#[test]
fn outputs_that_cannot_be_written() {
    let bench = Bench::new();
    // Said before the program is run: nothing is on standard output.
    fails(&bench, "run @counter --steps 1k -o no/t.cbor", 74, "no/t.cbor");
    fails(&bench, "run @counter --steps 1k -o .", 74, "`.` is a folder");
    fails(&bench, "run @counter --steps 1k --report no/r.json", 74, "no/r.json");
    fails(&bench, "instrument @fib -o no/fib.wasm", 74, "no/fib.wasm");
}

/// What to do next can be copied into a shell, and what is wrong is said once.
#[test]
fn messages_say_what_to_do() {
    let bench = Bench::new();
    let run = bench.run(words("run @counter --steps 1 -o").into_iter().chain(["a b.cbor".into()]));
    run.exits(75).says("`tasklet resume 'a b.cbor'`");
    bench.write("notes.txt", "hello");
    for command in ["resume notes.txt", "inspect notes.txt", "verify notes.txt notes.txt"] {
        fails(&bench, command, 65, "cannot read `notes.txt`: not a tasklet snapshot\n");
        fails(&bench, command, 65, "help: `tasklet run` and `resume` write them, with -o");
    }
    fails(&bench, "run @counter --max-stack 700M", 2, "at most 640M");
}
