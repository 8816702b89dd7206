//! The invariants of ARCHITECTURE.md that a compiler does not keep.

use std::fs;
use std::path::{Path, PathBuf};

/// The crates; each has its sources in `src`, and some have tests in `tests`.
const CRATES: &[&str] = &["instrumenter", "engine", "guest", "cli", "tests", "bench", "fuzz"];
const LINES_MAX: usize = 600;

/// What the scheduler's state machines must not name: they run nothing.
const SCHEDULER: &[&str] = &[
    "wasmtime",
    "tasklet_instrumenter",
    "crate::tasklet",
    "crate::host",
    "crate::engine",
    "std::fs",
    "std::net",
    "std::time",
    "std::thread",
];

/// A part of a crate, and what it must not name: a word, or a path.
const EDGES: &[(&str, &[&str])] = &[
    ("instrumenter/src", &["wasmtime", "tasklet_engine"]),
    ("instrumenter/src/analyse", &["wasm_encoder", "wasmparser"]),
    ("instrumenter/src/plan", &["wasm_encoder", "wasmparser"]),
    ("instrumenter/src/metadata", &["wasm_encoder"]),
    ("instrumenter/src/abi", &["wasm_encoder", "wasmparser"]),
    ("instrumenter/src/rewrite", &["wasmparser"]),
    (
        "engine/src/snapshot",
        &["wasmtime", "tasklet_instrumenter", "std::fs", "std::net", "std::time", "std::thread"],
    ),
    ("engine/src/wasi", &["wasmtime", "tasklet_instrumenter"]),
    ("engine/src/sched/queue", SCHEDULER),
    ("engine/src/sched/channel", SCHEDULER),
    ("engine/src/sched/core", SCHEDULER),
    ("engine/src/sched/budget", SCHEDULER),
    ("engine/src/sched/clock", SCHEDULER),
    ("engine/src/sched/timers", SCHEDULER),
    ("engine/src/sched/watchers", SCHEDULER),
    ("engine/src/sched/seat", SCHEDULER),
    (
        "engine/src/executor/crew",
        &["wasmtime", "std::fs", "std::net", "std::thread", "std::sync", "Instant"],
    ),
    (
        "engine/src/executor/line",
        &["wasmtime", "std::fs", "std::net", "std::thread", "std::sync", "Instant"],
    ),
    ("engine/src/executor", &["wasmtime", "std::fs", "std::net"]),
    ("engine/src/store", &["wasmtime", "std::net", "std::time", "std::thread"]),
    ("engine/src/sched", &["wasmtime", "std::fs", "std::net", "std::time", "std::thread"]),
    ("engine/src", &["wasmparser", "wasm_encoder", "clap"]),
    ("guest/src", &["std", "wasmtime", "tasklet_engine", "tasklet_instrumenter"]),
    ("cli/src", &["wasmtime", "wasm_encoder"]),
];

/// Every file below a folder whose name ends so, `target` and hidden ones left out.
fn files(below: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(below) else { return found };
    for entry in entries {
        let path = entry.expect("a folder can be listed").path();
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(files(&path, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<PathBuf> {
    let root = tasklet_tests::root();
    let found: Vec<_> = CRATES.iter().flat_map(|name| files(&root.join(name), ".rs")).collect();
    assert!(found.len() > 50, "sources are missed");
    found
}

/// A file's code: lines without what follows `//`, and nothing from `mod tests {` on.
fn code(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("sources are text");
    let lines = text.lines().take_while(|line| !line.starts_with("mod tests {"));
    lines.map(|line| line.split("//").next().unwrap_or_default().to_string()).collect()
}

fn names(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

fn short(path: &Path) -> String {
    path.strip_prefix(tasklet_tests::root()).unwrap_or(path).display().to_string()
}

fn none(what: &str, offences: Vec<String>) {
    assert!(offences.is_empty(), "{what}:\n{}", offences.join("\n"));
}

/// The files of a part: `a/b` is `a/b.rs` and everything in `a/b/`, tests left out.
fn part(part: &str) -> Vec<PathBuf> {
    let root = tasklet_tests::root();
    let mut found = files(&root.join(part), ".rs");
    found.extend([root.join(format!("{part}.rs"))].into_iter().filter(|path| path.exists()));
    found.retain(|path| !path.ends_with("tests.rs") && !short(path).contains("/tests/"));
    assert!(!found.is_empty(), "{part} is no more: change the table in this test");
    found
}

#[test]
fn crates_know_only_those_below_them() {
    let mut offences = Vec::new();
    for (below, forbidden) in EDGES {
        for path in part(below) {
            for (number, line) in (1..).zip(code(&path)) {
                let found = forbidden.iter().filter(|word| names(&line, word));
                offences.extend(found.map(|word| format!("{}:{number}: {word}", short(&path))));
            }
        }
    }
    none("these may not be named there", offences);
}

#[test]
fn manifests_keep_the_direction() {
    let root = tasklet_tests::root();
    let forbidden = [
        ("instrumenter", &["wasmtime", "tasklet-engine", "tasklet-cli"][..]),
        (
            "engine",
            &["wasmparser", "wasm-encoder", "wasmtime-wasi", "tokio", "anyhow", "tasklet-cli"],
        ),
        ("guest", &["wasmtime", "tasklet-engine", "tasklet-instrumenter"]),
        ("cli", &["wasmtime", "wasm-encoder"]),
    ];
    let mut offences = Vec::new();
    for (name, forbidden) in forbidden {
        let manifest = fs::read_to_string(root.join(name).join("Cargo.toml")).unwrap();
        let own = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for line in own.lines() {
            let found = forbidden.iter().filter(|word| {
                line.strip_prefix(**word).is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
            });
            offences.extend(found.map(|word| format!("{name}/Cargo.toml: {word}")));
        }
    }
    none("these may not be depended on", offences);
}

#[test]
fn files_are_of_readable_length() {
    let lines =
        |path: &PathBuf| fs::read_to_string(path).expect("sources are text").lines().count();
    let long = sources().into_iter().filter(|path| lines(path) > LINES_MAX);
    none("longer than 600 lines", long.map(|path| short(&path)).collect());
}

#[test]
fn nothing_is_left_undone() {
    let macros = ["todo!", "unimplemented!", "dbg!"];
    let mut offences = Vec::new();
    for path in sources() {
        let own = path.ends_with("tests/tests/tidy.rs");
        for (number, line) in (1..).zip(code(&path)) {
            let place = || format!("{}:{number}: {line}", short(&path));
            if macros.iter().any(|word| line.contains(word)) && !own {
                offences.push(place());
            }
        }
    }
    none("left undone", offences);
}

/// Paths of somebody's machine mean nothing on another.
#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let root = tasklet_tests::root();
    let mut paths = Vec::new();
    for ending in [".rs", ".toml", ".md", ".sh", ".py", ".wat", ".json", "run"] {
        paths.extend(files(&root, ending));
    }
    paths.extend(files(&root.join(".ci"), ""));
    let mut offences = Vec::new();
    for path in paths {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        // Written in pieces, so that this file is no offence itself.
        for machine in [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")] {
            let found = (1..).zip(text.lines()).filter(|(_, line)| begins(line, machine));
            offences.extend(found.map(|(n, line)| format!("{}:{n}: {line}", short(&path))));
        }
    }
    none("paths of a machine", offences);
}

/// Whether a path in that line begins so: `x/root/` and `"$x"/root/` are other paths.
fn begins(line: &str, machine: &str) -> bool {
    line.match_indices(machine).any(|(at, _)| {
        let before = &line[..at];
        match before.chars().next_back() {
            Some('"') => before.matches('"').count() % 2 == 1,
            Some(c) => !c.is_alphanumeric() && !"_-.$}*".contains(c),
            None => true,
        }
    })
}

/// Names of `pub const`s, and of the fields of a struct called `Limits`.
fn limits(path: &str) -> Vec<String> {
    let text = fs::read_to_string(tasklet_tests::root().join(path)).expect("the file is there");
    let mut names = Vec::new();
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        inside = (inside || line.starts_with("pub struct Limits")) && line != "}";
        let constant = line.strip_prefix("pub const ");
        let field = line.strip_prefix("pub ").filter(|_| inside);
        let ends = |c: char| !c.is_alphanumeric() && c != '_';
        if let Some(name) = constant.or(field).and_then(|rest| rest.split(ends).next())
            && !["struct", "const", "fn", "DEFAULT", ""].contains(&name)
        {
            names.push(name.to_string());
        }
    }
    assert!(!names.is_empty(), "{path} has no limits any more");
    names
}

#[test]
fn every_limit_is_documented() {
    let abi = limits("instrumenter/src/abi.rs");
    let abi = abi.into_iter().skip_while(|name| name != "MODULE_BYTES_MAX");
    let mut names: Vec<String> = abi.collect();
    for path in [
        "engine/src/limits.rs",
        "engine/src/sched/limits.rs",
        "engine/src/snapshot/limits.rs",
        "engine/src/snapshot/set/limits.rs",
        "engine/src/wasi/limits.rs",
    ] {
        names.extend(limits(path));
    }
    assert!(names.len() > 25, "{names:?}");
    let listed = fs::read_to_string(tasklet_tests::root().join("docs/limits.md"));
    let listed = listed.expect("docs/limits.md lists all limits");
    let missing: Vec<String> = names.into_iter().filter(|n| !listed.contains(n.as_str())).collect();
    none("docs/limits.md does not list", missing);
}
