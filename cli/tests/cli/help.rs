//! The help texts, which are part of the interface.

use std::fs;
use std::path::Path;

use crate::bench::Bench;

#[test]
fn help() {
    let bench = Bench::new();
    let mut all = String::new();
    for command in ["", "run", "resume", "inspect", "instrument", "check"] {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let run = bench.run(&args).exits(0);
        all.push_str(&format!("$ tasklet {}\n{}\n", args.join(" "), run.text()));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/help.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &all).expect("write help.txt");
    }
    let expected = fs::read_to_string(&path).expect("help.txt is there");
    assert_eq!(all.replace(".exe", ""), expected, "BLESS=1 accepts the new text");
}

#[test]
fn version() {
    let bench = Bench::new();
    let version = format!("tasklet {}\n", env!("CARGO_PKG_VERSION"));
    bench.run(["--version"]).exits(0).prints(&version);
}
