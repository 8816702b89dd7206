//! The main job: run for a number of steps, save, go on in another process.

#[cfg(unix)]
use std::process::{Command, Stdio};

#[cfg(unix)]
use crate::bench::Run;
use crate::bench::{Bench, words};

/// The session that the README opens with.
#[test]
fn the_seed() {
    let bench = Bench::new();
    bench
        .run(words("run @counter --steps 575 -o t1.cbor"))
        .exits(75)
        .prints("10\n20\n")
        .says("tasklet resume t1.cbor");
    for _ in 0..2 {
        bench.run(words("resume t1.cbor --steps 575 -o t2.cbor")).exits(75).prints("30\n40\n50\n");
    }
    // Without -o nothing is kept, and that is said.
    bench
        .run(words("resume t1.cbor --steps 575"))
        .exits(124)
        .prints("30\n40\n50\n")
        .says("give -o FILE to keep it");
    assert_eq!(bench.files(), ["t1.cbor", "t2.cbor"]);
}

/// However it is cut into slices, a program prints the same and takes the same steps.
#[test]
fn slices_add_up() {
    let bench = Bench::new();
    let whole = bench.run(words("run @quicksort --report whole.json")).exits(0);
    let mut parts = bench.run(words("run @quicksort --steps 100k -o t.cbor")).exits(75).stdout;
    loop {
        let run = bench.run(words("resume t.cbor --steps 1.5M -o t.cbor --report part.json"));
        parts.extend(&run.stdout);
        if run.code != Some(75) {
            run.exits(0);
            break;
        }
    }
    assert_eq!(parts, whole.stdout);
    let report = |name| serde_json::from_slice::<serde_json::Value>(&bench.read(name)).unwrap();
    assert_eq!(report("whole.json")["steps_used"], report("part.json")["steps_used"]);
}

/// A sleep returns what is left of the budget, which must not move the end of the slice.
#[test]
fn waits_do_not_move_the_end_of_a_slice() {
    let bench = Bench::new();
    for clock in ["host", "virtual"] {
        let args = format!("run @sleep --steps 1200 -o {clock}.cbor --clock {clock} -- 3 20");
        bench.run(words(&args)).exits(75);
    }
    let steps = |name: &str| {
        let json = bench.run(words(&format!("inspect {name} --format json"))).exits(0).json();
        (json["steps_used"].clone(), json["balance"].clone(), json["backtrace"].clone())
    };
    assert_eq!(steps("host.cbor"), steps("virtual.cbor"));
}

#[test]
fn from_pipe_to_pipe() {
    let bench = Bench::new();
    let whole = bench.run(words("run @fib")).exits(0);
    for steps in ["1k", "1G"] {
        let first = bench.run(words(&format!("run @fib --steps {steps} -o -")));
        let code = first.code;
        assert_eq!(code, Some(if steps == "1k" { 75 } else { 0 }), "{}", first.stderr);
        let second = bench.run_with(&first.stdout, words("resume -")).exits(0);
        // With `-o -` the guest prints to standard error.
        let printed_first = first.stderr.contains("fib(22)");
        assert_eq!(printed_first, steps == "1G", "{}", first.stderr);
        let expected = if printed_first { "" } else { whole.text() };
        assert_eq!(second.text(), expected);
    }
}

#[cfg(unix)]
#[test]
fn in_a_shell_pipeline() {
    let bench = Bench::new();
    let script = r#""$T" run "$M" --steps 2k -o - 2>err | "$T" resume - --steps 2k -o - 2>>err |
        "$T" resume - --steps 2k; echo $?; cat err"#;
    let mut shell = Command::new("sh");
    bench.at_home(&mut shell).args(["-c", script]).stdin(Stdio::null());
    shell.env("T", env!("CARGO_BIN_EXE_tasklet")).env("M", crate::bench::guest("counter"));
    let run = Run::of(shell.output().expect("run a shell"));
    let numbers =
        |text: &str| -> Vec<u32> { text.lines().filter_map(|l| l.parse().ok()).collect() };
    let (third, first_two) = run.text().split_once("124\n").expect("the last is out of steps");
    let printed = [numbers(first_two), numbers(third)].concat();
    assert!(printed.len() > 15);
    assert!(printed.iter().copied().eq((1..).map(|n| n * 10).take(printed.len())), "{printed:?}");
}

/// What was read ahead of a pipe belongs to the guest and travels with it.
#[test]
fn piped_input_travels() {
    let bench = Bench::new();
    let mut read = 0;
    for steps in (300..560).step_by(20) {
        let args = format!("run @cat --steps {steps} -o t.cbor");
        let first = bench.run_with(b"one\ntwo\n", words(&args));
        if first.code != Some(75) {
            continue;
        }
        let second = bench.run_with(&bench.read("t.cbor"), words("resume -")).exits(0);
        let whole = [&first.stdout[..], &second.stdout].concat();
        // Either the first process took the line from the pipe, or nobody did.
        assert!(whole == b"one\ntwo\n" || whole.is_empty(), "{whole:?} at {steps}");
        read += usize::from(!second.stdout.is_empty());
    }
    assert!(read > 0, "no slice ended between reading and printing");
}

#[test]
fn results_of_a_function() {
    let bench = Bench::new();
    bench
        .run(words("run @exports --invoke swap -1 9007199254740993"))
        .exits(0)
        .prints("9007199254740993\n-1\n");
    bench.run(words("run @exports --invoke search 60 --steps 1k -o t.cbor")).exits(75).prints("");
    bench.run(words("resume t.cbor -o end.cbor")).exits(0).prints("900\n60\n");
    bench
        .run(words("resume end.cbor"))
        .exits(0)
        .prints("900\n60\n")
        .says("the program has already finished");
    // Nothing has happened since, so it is the same snapshot.
    bench.run(words("resume end.cbor -o again.cbor")).exits(0);
    assert_eq!(bench.read("end.cbor"), bench.read("again.cbor"));
}

#[test]
fn exit_codes_of_the_guest() {
    let bench = Bench::new();
    bench.run(words("run @exit 7 -o end.cbor")).exits(7);
    bench.run(words("resume end.cbor")).exits(7).prints("").says("exited with code 7");
    bench.run(words("run @exit 0")).exits(0);
}

#[test]
fn a_trap() {
    let bench = Bench::new();
    bench.run(words("run @trap 3 --steps 500 -o t.cbor")).exits(75);
    let before = bench.read("t.cbor");
    let run = bench.run(words("resume t.cbor -o t.cbor")).exits(134).says("unreachable");
    let names = run.stderr.lines().filter_map(|line| line.trim().split_once(": "));
    let names: Vec<&str> =
        names.filter(|(n, _)| n.parse::<u32>().is_ok()).map(|(_, r)| r).collect();
    let order = ["bottom", "odd", "even", "odd", "even", "main"];
    for (name, expected) in names.iter().zip(order) {
        assert!(name.starts_with(expected), "{names:?}");
    }
    assert!(names.len() >= order.len(), "{names:?}");
    assert_eq!(bench.read("t.cbor"), before, "a trap leaves the last good state");
}
