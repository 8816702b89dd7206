//! Ctrl-C and its like, and pipes that nobody reads.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{Bench, Run, words};

/// Far more than it takes, far less than what is waited for.
const SOON: Duration = Duration::from_secs(5);

fn start(bench: &Bench, args: &str) -> Child {
    let mut command = bench.command(words(args));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run the binary")
}

fn send(child: &Child, signal: &str) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(status.expect("run kill").success());
}

/// Waits for the first line of output.
fn wait_for_output(child: &mut Child) {
    let stdout = child.stdout.as_mut().expect("it is piped");
    let mut line = String::new();
    BufReader::with_capacity(1, stdout).read_line(&mut line).expect("a line");
    assert!(!line.is_empty());
}

/// Waits until the guest waits, which `-v` tells.
fn wait_for_wait(child: &mut Child) {
    let stderr = child.stderr.as_mut().expect("it is piped");
    let lines = BufReader::with_capacity(1, stderr).lines();
    let mut lines = lines.map(|line| line.expect("a line"));
    assert!(lines.any(|line| line.contains("waiting for")));
}

/// Waits for the first line of output, sends a signal, and waits for the end.
fn interrupt(mut child: Child, signal: &str) -> Run {
    wait_for_output(&mut child);
    end(child, signal)
}

fn end(child: Child, signal: &str) -> Run {
    let begin = Instant::now();
    send(&child, signal);
    let run = Run::of(child.wait_with_output().expect("wait for it"));
    assert!(begin.elapsed() < SOON, "{:?} {}", begin.elapsed(), run.stderr);
    run
}

#[test]
fn saves_while_computing() {
    let bench = Bench::new();
    for signal in ["-INT", "-TERM", "-HUP"] {
        let run = interrupt(start(&bench, "run @counter -o t.cbor --report r.json"), signal);
        run.exits(75).says("interrupted after");
        let json = bench.run(words("inspect t.cbor --format json")).exits(0).json();
        assert_eq!(json["reason"], "requested");
        bench.run(words("resume t.cbor --steps 1k")).exits(124);
    }
    assert_eq!(bench.files(), ["r.json", "t.cbor"]);
}

#[test]
fn saves_while_sleeping() {
    let bench = Bench::new();
    let mut child = start(&bench, "-v run @sleep -o t.cbor -- 3 60000");
    wait_for_wait(&mut child);
    end(child, "-INT").exits(75).prints("").says("tasklet resume t.cbor");
    let text = bench.run(words("inspect t.cbor")).exits(0);
    assert!(text.text().contains("poll_oneoff"), "{}", text.text());
    // It goes on sleeping, and can be saved again.
    let mut child = start(&bench, "-v resume t.cbor -o t.cbor --steps 1M");
    wait_for_wait(&mut child);
    end(child, "-INT").exits(75).prints("");
}

#[test]
fn saves_while_waiting_for_input() {
    let bench = Bench::new();
    let mut command = bench.command(words("-v run @cat -o t.cbor"));
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("run the binary");
    wait_for_wait(&mut child);
    // `wait_with_output` would close the pipe, and the guest would be at its end.
    let stdin = child.stdin.take();
    end(child, "-INT").exits(75).prints("");
    drop(stdin);
    bench.run_with(b"later\n", words("resume t.cbor")).exits(0).prints("later\n");
}

#[test]
fn stops_if_there_is_nowhere_to_save() {
    let bench = Bench::new();
    let run = interrupt(start(&bench, "run @counter"), "-INT");
    run.exits(130).says("give -o FILE to keep it");
}

/// Blocked in a write that nobody takes, it cannot answer the first.
#[test]
fn the_second_ends_it() {
    let bench = Bench::new();
    let mut child = start(&bench, "run @counter -o t.cbor");
    wait_for_output(&mut child);
    std::thread::sleep(Duration::from_millis(500));
    send(&child, "-INT");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(child.try_wait().expect("ask for it"), None);
    send(&child, "-INT");
    let begin = Instant::now();
    let status = child.wait().expect("wait for it");
    assert!(begin.elapsed() < SOON);
    assert_eq!(status.code(), Some(130));
    assert_eq!(bench.files(), [""; 0]);
}

#[test]
fn closed_pipes() {
    let bench = Bench::new();
    let mut child = start(&bench, "run @counter");
    drop(child.stdout.take());
    Run::of(child.wait_with_output().unwrap()).exits(141);
    bench.run(words("run @counter --steps 1k -o t.cbor")).exits(75);
    for args in ["inspect t.cbor", "check @fib", "run @exports --invoke gcd 1 1"] {
        // A process that another test is about to start holds the pipe, too, for a moment.
        let attempt = || {
            let mut child = start(&bench, args);
            drop(child.stdout.take());
            Run::of(child.wait_with_output().unwrap())
        };
        let run = (0..20).map(|_| attempt()).find(|run| run.code != Some(0));
        let run = run.expect("one of them finds it closed").exits(141);
        assert_eq!(run.stderr, "");
    }
    // A snapshot that is lost is worth a word.
    let attempt = || {
        let mut child = start(&bench, "run @counter --steps 1k -o -");
        drop(child.stdout.take());
        Run::of(child.wait_with_output().unwrap())
    };
    let run = (0..20).map(|_| attempt()).find(|run| run.code != Some(75));
    run.expect("one of them finds it closed").exits(74).says("Broken pipe");
}
