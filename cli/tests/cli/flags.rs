//! What the program is given: arguments, environment, input, directories, chance, time.

use std::fs;

use crate::bench::{Bench, words};

#[test]
fn arguments_and_environment() {
    let bench = Bench::new();
    let expected = "argument 1: one\nargument 2: --two\nenvironment: A=1\nenvironment: B=\n";
    bench.run(words("run -e A=1 --env B= @env one -- --two")).exits(0).prints(expected);
    bench.run(words("run @env -e A=1 -e B= -- one --two")).exits(0).prints(expected);
    let mut passed_on = bench.command(words("run @env -e A"));
    let output = passed_on.env("A", "from outside").output().unwrap();
    assert_eq!(output.stdout, b"environment: A=from outside\n");
    // The name is the file's own, as wasmtime has it.
    bench.run(words("run @env -o t.cbor")).exits(0);
    let json = bench.run(words("inspect t.cbor --format json")).exits(0).json();
    assert_eq!(json["wasi"]["args"][0], "env.wasm");
}

/// The interpreter takes the place of compiled code at any pause; nothing tells afterwards.
#[test]
fn targets() {
    let bench = Bench::new();
    let whole = bench.run(words("run @nqueens")).exits(0);
    let begin = "--steps 20000 --clock virtual --seed 1";
    let mut ends = Vec::new();
    for [first, second] in [["host", "pulley"], ["pulley", "host"], ["pulley", "pulley"]] {
        let run = format!("run @nqueens --target {first} {begin} -o {first}.cbor");
        let begun = bench.run(words(&run)).exits(75).text().to_string();
        let resume = format!("resume {first}.cbor --target {second} -o end.cbor");
        let ended = bench.run(words(&resume)).exits(0);
        assert_eq!(begun + ended.text(), whole.text());
        ends.push(bench.read("end.cbor"));
    }
    assert!(bench.read("host.cbor") == bench.read("pulley.cbor"));
    assert!(ends.iter().all(|end| *end == ends[0]));
    let other = bench.run(words("run @nqueens --target powerpc-apple-darwin")).exits(2);
    other.says("no code for `powerpc-apple-darwin` runs here").says("`host`").says("pulley");
}

#[test]
fn standard_input() {
    let bench = Bench::new();
    bench.write("in.txt", "from a file\n");
    bench.run_with(b"piped\n", words("run @cat")).exits(0).prints("piped\n");
    bench.run_with(b"piped\n", words("run @cat --stdin -")).exits(0).prints("piped\n");
    bench.run_with(b"piped\n", words("run @cat --stdin null")).exits(0).prints("");
    bench.run_with(b"piped\n", words("run @cat --stdin in.txt")).exits(0).prints("from a file\n");
    // Which file it was, only the user may say.
    bench.run(words("run @cat --stdin in.txt --steps 100 -o t.cbor")).exits(75);
    bench.run(words("resume t.cbor")).exits(76).says("--stdin in.txt");
    bench.run(words("resume t.cbor --stdin in.txt")).exits(0).prints("from a file\n");
}

#[test]
fn directories() {
    let bench = Bench::new();
    fs::create_dir(bench.path("here")).unwrap();
    bench.write("here/a.txt", "a\n".repeat(2000));
    // Somewhere in between it has the file open.
    let open = (1500..3000).step_by(50).any(|steps| {
        let run = format!("run @cat --dir here::data --steps {steps} -o t.cbor data/a.txt");
        bench.run(words(&run)).exits(75);
        let json = bench.run(words("inspect t.cbor --format json")).exits(0).json();
        let files = json["wasi"]["files"].as_array().unwrap();
        files.iter().any(|file| file["path"] == "a.txt")
    });
    assert!(open);
    let text = bench.run(words("inspect t.cbor")).exits(0);
    assert!(text.text().contains("file data/a.txt, read, at byte"), "{}", text.text());

    bench.run(words("resume t.cbor")).exits(76).prints("").says("--dir HOST::data");
    bench.run(words("resume t.cbor --dir here::other")).exits(76).prints("");
    bench.run(words("resume t.cbor --dir here::data")).exits(0);
    fs::rename(bench.path("here"), bench.path("there")).unwrap();
    bench.run(words("resume t.cbor --dir there::data:ro")).exits(0);
    bench.write("there/a.txt", "changed");
    bench.run(words("resume t.cbor --dir there::data")).exits(76).says("has changed");
    bench.run(words("resume t.cbor --dir there::data --allow-changed-files")).exits(0);
    fs::remove_file(bench.path("there/a.txt")).unwrap();
    bench.run(words("resume t.cbor --dir there::data")).exits(76).says("a.txt");
}

/// What has no name any more cannot be opened again elsewhere. An old Windows, or wine, keeps the name
/// for as long as somebody has the file open.
#[cfg(unix)]
#[test]
fn removed_file() {
    let bench = Bench::new();
    fs::create_dir(bench.path("d")).unwrap();
    let script = "f = io.open('x', 'w') os.remove('x') if arg[1] then while true do end end";
    bench.write("d/script.lua", script);
    let run = "run @lua/lua --dir d::. script.lua";
    bench
        .run(words(&format!("{run} loop --steps 1M -o t.cbor")))
        .exits(69)
        .says("until the guest closes it");
    assert_eq!(bench.files(), ["d"]);
    // Once it has ended nobody minds.
    bench.run(words(&format!("{run} -o t.cbor"))).exits(0);
}

#[test]
fn read_only_directory() {
    let bench = Bench::new();
    fs::create_dir(bench.path("d")).unwrap();
    bench.run(words("run @files --dir d::.")).exits(0);
    let run = bench.run(words("run @files --dir d::.:ro"));
    assert_ne!(run.code, Some(0));
    assert_eq!(fs::read_dir(bench.path("d")).unwrap().count(), 0);
}

#[test]
fn chance_and_time() {
    let bench = Bench::new();
    let random = |seed: &str| bench.run(words(&format!("run @random {seed}"))).exits(0).stdout;
    assert_eq!(random("--seed 1"), random("--seed 1"));
    assert_ne!(random("--seed 1"), random("--seed 2"));
    assert_ne!(random(""), random(""));
    let clock = || bench.run(words("run @clock --clock virtual -- -v")).exits(0).stdout;
    assert_eq!(clock(), clock());
    // An hour of sleep.
    bench.run(words("run @sleep --clock virtual 1 3600000")).exits(0).prints("tick 1\n");
}

#[test]
fn a_slice_may_be_empty() {
    let bench = Bench::new();
    bench.run(words("run @counter --steps 0 -o t.cbor")).exits(75).prints("");
    bench.run(words("resume t.cbor --steps 0 -o t.cbor")).exits(75).prints("");
    bench.run(words("resume t.cbor --steps 575")).exits(124).prints("10\n20\n");
    bench.run(words("run @counter --deterministic --steps 575")).exits(124).prints("10\n20\n");
}

#[test]
fn how_much_is_said() {
    let bench = Bench::new();
    let quiet = bench.run(words("-q run @counter --steps 1k -o t.cbor")).exits(75);
    assert_eq!(quiet.stderr, "");
    bench.run(words("run @fib -v")).exits(0).says("finished after");
    assert_eq!(bench.run(words("run @fib")).exits(0).stderr, "");
}
