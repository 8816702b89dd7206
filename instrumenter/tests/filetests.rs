//! Runs the files under `tests/filetests`; see the README there.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filetests").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder is part of the crate")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wat"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Compares with the expectation, or writes it.
fn check(path: &Path, actual: &str) {
    let expectation = path.with_extension("out");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&expectation, actual).expect("the expectation can be written");
        return;
    }
    let expected = std::fs::read_to_string(&expectation).unwrap_or_default();
    let name = path.display();
    assert!(expected == actual, "{name}: expected\n{expected}\ngot\n{actual}");
}

/// The functions of the original module in the text of an instrumented one.
fn guest_functions(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("  (func ") {
            // Original functions are named `index:name`.
            let name = rest.trim_start_matches(['$', '"']);
            inside = name.split(':').next().is_some_and(|index| index.parse::<u32>().is_ok());
        }
        if inside {
            writeln!(out, "{}", line.strip_prefix("  ").unwrap_or(line)).expect("a string");
        }
        inside &= line != "  )";
    }
    out
}

#[test]
fn rewrite() {
    for path in files("rewrite") {
        let wasm = wat::parse_file(&path).expect("the file is valid");
        let instrumented = tasklet_instrumenter::instrument(&wasm, &Default::default())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let text = wasmprinter::print_bytes(&instrumented.wasm).expect("the output is valid");
        check(&path, &guest_functions(&text));
    }
}

#[test]
fn reject() {
    for path in files("reject") {
        let wasm = wat::parse_file(&path).expect("the file is valid");
        let error = tasklet_instrumenter::instrument(&wasm, &Default::default())
            .expect_err("the file is to be refused");
        assert_eq!(
            tasklet_instrumenter::check(&wasm).expect_err("check agrees").to_string(),
            error.to_string()
        );
        check(&path, &format!("{error}\n"));
    }
}
