//! What `inspect` and `check` show.

use crate::bench::{Bench, words};

#[test]
fn a_paused_program() {
    let bench = Bench::new();
    bench.run(words("run @counter-wat --steps 575 -o t.cbor")).exits(75);
    let text = bench.run(words("inspect t.cbor")).exits(0);
    for part in [
        "paused (out-of-budget)",
        "frames     1, innermost first:",
        "loop at 0x",
        "embedded",
        "_start()",
        "pages of 4096 differ",
        "[\"counter-wat.wasm\"]",
        "9 bytes written",
    ] {
        assert!(text.text().contains(part), "{part} is missing in\n{}", text.text());
    }
    let json = bench.run(words("inspect t.cbor --format json")).exits(0).json();
    assert_eq!(json["status"], "paused");
    assert_eq!(json["reason"], "out-of-budget");
    assert_eq!(json["bytes"], bench.read("t.cbor").len());
    let used = json["steps_used"].as_i64().unwrap() + json["balance"].as_i64().unwrap();
    assert_eq!(used, 575);
    let innermost = &json["backtrace"][0];
    assert_eq!(innermost["at"], "loop");
    assert!(innermost["locals"].as_array().unwrap().iter().all(|l| l["value"].is_string()));
    // The digest is what the format's description says.
    let piped = bench.run_with(&bench.read("t.cbor"), words("inspect - --format json")).exits(0);
    assert_eq!(piped.json(), json);
    // Looking changes nothing, and neither does resuming elsewhere.
    bench.run(words("resume t.cbor --steps 1 -o u.cbor")).exits(75);
    let child = bench.run(words("inspect u.cbor --format json")).exits(0).json();
    assert_eq!(child["parent"], json["hash"]);
}

#[test]
fn names_of_functions_and_locals() {
    let bench = Bench::new();
    bench.run(words("run @exports --invoke search 60 --steps 5k -o t.cbor")).exits(75);
    let json = bench.run(words("inspect t.cbor --format json")).exits(0).json();
    let outermost = json["backtrace"].as_array().unwrap().last().unwrap();
    assert_eq!(outermost["name"], "search");
    let locals = outermost["locals"].as_array().unwrap();
    assert!(locals.iter().any(|l| l["name"] == "n" && l["value"] == "60"), "{locals:?}");
    assert_eq!(json["entry"]["args"][0]["value"], "60");
}

#[test]
fn what_it_waits_for() {
    let bench = Bench::new();
    bench.run(words("run @sleep --steps 1000 -o t.cbor --clock virtual")).exits(75);
    let json = bench.run(words("inspect t.cbor --format json")).exits(0).json();
    assert_eq!(json["wasi"]["clock"]["kind"], "virtual");
    assert_eq!(json["wasi"]["stdin"]["kind"], "inherit");
}

/// Names come from the module's maker, and must not reach the terminal as they are.
#[test]
fn no_control_characters() {
    let bench = Bench::new();
    let text = r#"(module
        (func $"\1b[31mred\0anext" (loop br 0))
        (func (export "_start") (call 0))
        (func (export "trap\1b[2J") (call 3))
        (func $"\1b[1mtrap" unreachable))"#;
    bench.write("m.wasm", wat::parse_str(text).unwrap());
    bench.run(words("run m.wasm --steps 100 -o t.cbor")).exits(75);
    let mut shown = bench.run(words("inspect t.cbor")).exits(0).stdout;
    shown.extend(bench.run(words("check m.wasm")).exits(0).stdout);
    shown.extend(bench.run(["run", "m.wasm", "--invoke", "trap\x1b[2J"]).exits(134).stderr.bytes());
    assert!(!shown.contains(&0x1b), "{}", String::from_utf8_lossy(&shown));
}

#[test]
fn check() {
    let bench = Bench::new();
    let text = bench.run(words("check @trap")).exits(0);
    assert!(text.text().contains("resume points"), "{}", text.text());
    let json = bench.run(words("check @trap --format json")).exits(0).json();
    assert_eq!(json["ok"], true);
    assert!(json["functions"].as_u64().unwrap() > 10);
    assert_eq!(json["exports"][0], "_start");
    assert_eq!(json["missing_imports"].as_array().unwrap().len(), 0);
}
