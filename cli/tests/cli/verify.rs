//! Runs that are the same everywhere, and the proof that one is.

use crate::bench::{Bench, words};

#[test]
fn deterministic_runs_have_the_same_chain() {
    let chain = || {
        let bench = Bench::new();
        bench.run(words("run @random --deterministic --steps 300 -o 0.cbor"));
        let mut hashes = Vec::new();
        for at in 0..4 {
            let (from, to) = (at, at + 1);
            let (from, to) = (format!("{from}.cbor"), format!("{to}.cbor"));
            let json = bench.run(words(&format!("inspect {from} --format json"))).exits(0).json();
            hashes.push(json["hash"].clone());
            if json["status"] != "paused" {
                break;
            }
            bench.run(words(&format!("resume {from} --steps 300 -o {to}")));
        }
        hashes
    };
    let one = chain();
    assert!(one.len() > 2, "{one:?}");
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(one, chain());
}

#[test]
fn the_profile_goes_along() {
    let bench = Bench::new();
    let run = "run @counter --deterministic --max-memory 64M --max-stack 512M --steps 500";
    bench.run(words(&format!("{run} -o t.cbor"))).exits(75);
    let profile = |name: &str| {
        bench.run(words(&format!("inspect {name} --format json"))).exits(0).json()["profile"]
            .clone()
    };
    assert_eq!(profile("t.cbor")["memory_bytes"], 64 << 20);
    assert_eq!(profile("t.cbor")["stack_bytes"], 512 << 20);
    bench.run(words("resume t.cbor --steps 500 -o u.cbor")).exits(75);
    assert_eq!(profile("t.cbor"), profile("u.cbor"));
    bench.run(words("resume t.cbor --deterministic --max-memory 64M --steps 9")).exits(124);
    let refused = |flags: &str, word: &str| {
        bench.run(words(&format!("resume t.cbor {flags}"))).exits(76).prints("").says(word);
    };
    refused("--max-memory 128M", "was started with 67108864");
    refused("--max-stack 1M", "was started with 536870912");
    bench.run(words("run @counter --steps 500 -o plain.cbor")).exits(75);
    bench
        .run(words("resume plain.cbor --deterministic"))
        .exits(76)
        .says("not started with --deterministic");
    bench.run(words("run @counter --deterministic --clock host")).exits(2).says("host's clock");
    // Memory that this machine does not give to everybody has to be allowed again.
    bench
        .run(words("run @counter --deterministic --max-memory 8G --steps 9 -o large.cbor"))
        .exits(75);
    bench.run(words("resume large.cbor --steps 9")).exits(65).says("--max-memory");
    bench.run(words("resume large.cbor --steps 9 --max-memory 8G")).exits(124);
}

/// All of the input is there at once, so it makes no difference how it arrives.
#[test]
fn deterministic_input() {
    let bench = Bench::new();
    let run = "run @cat --deterministic --stdin - --steps 100 -o";
    bench.run_with(b"one\ntwo\n", words(&format!("{run} a.cbor"))).exits(75);
    bench.write("input", "one\ntwo\n");
    let file = "run @cat --deterministic --stdin input --steps 100 -o b.cbor";
    bench.run(words(file)).exits(75);
    assert_eq!(bench.read("a.cbor"), bench.read("b.cbor"));
    bench.run_with(b"not this", words("resume a.cbor")).exits(0).prints("one\ntwo\n");
    bench.run_with(b"not this", words("run @cat --deterministic")).exits(0).prints("");
}

#[test]
fn honest_execution_is_found_so() {
    let bench = Bench::new();
    bench.run(words("run @random --deterministic --steps 200 -o a.cbor")).exits(75);
    bench.run(words("resume a.cbor --steps 100 -o b.cbor")).exits(75);
    bench.run(words("resume b.cbor --steps 50 -o c.cbor")).exits(75);
    bench.run(words("resume c.cbor -o d.cbor"));
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "d"), ("a", "a")] {
        let run = bench.run(words(&format!("verify {from}.cbor {to}.cbor"))).exits(0);
        assert!(run.text().contains("follows from"), "{}", run.text());
    }
    for (from, to) in [("a", "c"), ("a", "d"), ("b", "d")] {
        let run = bench.run(words(&format!("verify {from}.cbor {to}.cbor"))).exits(0);
        assert!(run.text().contains("parent is another"), "{}", run.text());
    }
    let json = bench.run(words("verify a.cbor b.cbor --format json")).exits(0).json();
    assert_eq!((&json["verdict"], &json["direct"]), (&"follows".into(), &true.into()));
    assert_eq!(json["deterministic"], true);
    // Backwards, and from another program's.
    bench.run(words("verify b.cbor a.cbor")).exits(1);
    bench.run(words("run @counter --deterministic --steps 900 -o x.cbor")).exits(75);
    let other = bench.run(words("verify a.cbor x.cbor")).exits(1);
    assert!(other.text().contains("module"), "{}", other.text());
    // Over a base, and compressed.
    bench.run(words("resume a.cbor --steps 100 --base a.cbor --compress -o over.cbor")).exits(75);
    bench.run(words("verify a.cbor over.cbor")).exits(0);
    bench.run(words("verify over.cbor c.cbor")).exits(0);
}

/// A run with another seed claims what the first would not have done.
#[test]
fn another_run_is_found_out() {
    let bench = Bench::new();
    bench.run(words("run @random --deterministic --seed 1 --steps 100 -o a.cbor")).exits(75);
    bench.run(words("run @random --deterministic --seed 2 --steps 100 -o b.cbor")).exits(75);
    bench.run(words("resume b.cbor --steps 100000 -o c.cbor"));
    let run = bench.run(words("verify a.cbor c.cbor")).exits(1);
    assert!(run.text().contains("executed:"), "{}", run.text());
    assert!(!run.text().contains("not started with"), "{}", run.text());
    let json = bench.run(words("verify a.cbor c.cbor --format json")).exits(1).json();
    assert_eq!(json["verdict"], "differs");
    assert!(json["difference"]["place"].is_string());
}

#[test]
fn input_from_outside_cannot_be_given_again() {
    let bench = Bench::new();
    let input = b"some\nlines\n";
    bench.run(words("run @cat --steps 1 -o a.cbor --stdin -")).exits(75);
    bench
        .run_with(input, words("resume a.cbor --stdin - -o b.cbor"))
        .exits(0)
        .prints("some\nlines\n");
    let run = bench.run_with(input, words("verify a.cbor b.cbor")).exits(77);
    assert!(run.text().contains("standard input"), "{}", run.text());
    // Where it has not been asked for yet, nothing is missing.
    bench.run(words("resume a.cbor --steps 5 -o c.cbor --stdin -")).exits(75);
    bench.run(words("verify a.cbor c.cbor")).exits(0);
}

#[test]
fn without_the_profile_the_clock_may_be_why() {
    let bench = Bench::new();
    bench.run(words("run @counter --steps 500 -o a.cbor")).exits(75);
    bench.run(words("resume a.cbor --steps 500 -o b.cbor")).exits(75);
    bench.run(words("verify a.cbor b.cbor")).exits(0);
    bench.run(words("run @counter --steps 500 -o x.cbor")).exits(75);
    bench.run(words("resume x.cbor --steps 500 -o y.cbor")).exits(75);
    // Each run has its own chance.
    let run = bench.run(words("verify a.cbor y.cbor")).exits(1);
    assert!(run.text().contains("--deterministic"), "{}", run.text());
}

/// What the second snapshot says of its steps is a stranger's word.
#[test]
fn no_longer_than_allowed() {
    let bench = Bench::new();
    bench.run(words("run @counter --deterministic --steps 1k -o a.cbor")).exits(75);
    bench.run(words("resume a.cbor --steps 20k -o b.cbor")).exits(75);
    bench.run(words("verify a.cbor b.cbor --max-steps 20k")).exits(0);
    let run = bench.run(words("verify a.cbor b.cbor --max-steps 19999")).exits(77);
    assert!(run.text().contains("20000 steps would have to be executed"), "{}", run.text());
    let run = bench.run(words("verify a.cbor b.cbor --max-steps 5 --format json")).exits(77);
    assert_eq!(run.json()["verdict"], "undecided");
}
