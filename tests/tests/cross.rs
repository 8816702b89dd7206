//! What `tests/cross/run` needs beside the guest examples.

use std::fs;

/// `BLESS=1` builds it.
#[test]
fn the_module_with_nans_is_made_of_its_text() {
    let folder = tasklet_tests::root().join("tests/cross");
    let text = fs::read_to_string(folder.join("nan.wat")).expect("it is checked in");
    let wasm = wat::parse_str(text).expect("it is a module");
    let path = folder.join("nan.wasm");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &wasm).expect("it can be written");
    }
    assert!(fs::read(path).expect("it is checked in") == wasm, "run this with BLESS=1");
}
