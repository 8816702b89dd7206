//! Ten thousand actors that are left in the middle of their conversation, in one process, and go on
//! in another.

use std::path::Path;
use std::process::{Command, Output};

/// Runs the program with a target to compile for, or the machine's own.
fn actors(args: &[&str], target: Option<&str>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_actors"));
    command.args(args).env_remove("TASKLET_TESTS_TARGET").env("TASKLET_CACHE_DIR", cache());
    if let Some(target) = target {
        command.env("TASKLET_TESTS_TARGET", target);
    }
    let Output { status, stdout, stderr } = command.output().expect("it can be started");
    let errors = String::from_utf8_lossy(&stderr);
    println!("{args:?}: {errors}");
    assert!(status.success(), "{args:?}: {errors}");
    String::from_utf8(stdout).expect("it prints text")
}

fn cache() -> &'static Path {
    static CACHE: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    CACHE.get_or_init(|| tempfile::tempdir().expect("there is room for files")).path()
}

/// The same to the last message, and to the order in which messages came.
fn left_in_the_middle(count: &str, [first, second]: [Option<&str>; 2]) {
    let folder = tempfile::tempdir().expect("there is room for files");
    let file = folder.path().join("actors.tasklets");
    let file = file.to_str().expect("its name is text");
    let expected = actors(&["whole", count], first);
    assert!(!expected.is_empty());
    assert_eq!(actors(&["begin", count, file], first), "");
    assert_eq!(actors(&["go-on", file], second), expected);
    // To load does not change the file: it is a fork of everything. And back it goes.
    let back = folder.path().join("back.tasklets");
    let back = back.to_str().expect("its name is text");
    assert_eq!(actors(&["further", file, back], second), "");
    assert_eq!(actors(&["go-on", back], first), expected);
}

#[test]
fn ten_thousand_actors_go_on_in_another_process() {
    left_in_the_middle("10000", [None, None]);
}

/// Compiled for a machine that is not there, whose code wasmtime interprets.
#[test]
fn actors_go_on_on_another_machine() {
    left_in_the_middle("500", [None, Some("pulley")]);
    left_in_the_middle("500", [Some("pulley"), None]);
}

#[test]
fn the_guest_is_what_its_text_says() {
    let text = include_str!("../src/actor.wat");
    let wasm = wat::parse_str(text).expect("the text is a module");
    if std::env::var_os("BLESS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/actor.wasm");
        std::fs::write(path, &wasm).expect("it can be written");
    }
    assert!(wasm == include_bytes!("../src/actor.wasm"), "BLESS=1 writes it anew");
}
