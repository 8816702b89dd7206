//! Loading modules: errors, and what is kept on disk.

mod common;

use std::fs;

use common::invoke;
use tasklet_engine::{
    CacheMode, Digest, Engine, ErrorKind, Host, Module, ModuleCache, Outcome, SnapshotOptions,
    Tasklet, Value,
};

const ADD: &str = r#"(module (func (export "add") (param i32 i32) (result i32)
    (i32.add (local.get 0) (local.get 1))))"#;

fn add(module: &Module) -> Outcome {
    let entry = invoke("add", &[Value::I32(2), Value::I32(3)]);
    Tasklet::spawn(module, Host::empty(), entry).unwrap().run(u64::MAX).unwrap()
}

#[test]
fn a_damaged_cache_entry_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = common::options();
    options.cache = CacheMode::Directory(directory.path().to_path_buf());
    let engine = Engine::new(&options).unwrap();
    let wasm = wat::parse_str(ADD).unwrap();
    let five = Outcome::Finished(vec![Value::I32(5)]);
    assert_eq!(add(&Module::load(&engine, &wasm).unwrap()), five);
    let kept = directory.path().join("instrumented");
    let paths: Vec<_> = fs::read_dir(kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(paths.len(), 1);
    let sound = fs::read(&paths[0]).unwrap();
    for damaged in [&sound[..sound.len() - 1], &sound[1..], b""] {
        fs::write(&paths[0], damaged).unwrap();
        assert_eq!(add(&Module::load(&engine, &wasm).unwrap()), five);
        assert_eq!(fs::read(&paths[0]).unwrap(), sound);
    }
}

#[test]
fn originals_are_found_by_hash() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ModuleCache::at(directory.path().join("modules"));
    let wasm = wat::parse_str(ADD).unwrap();
    let hash = Digest::of(&wasm);
    assert_eq!(cache.find(&hash).unwrap(), None);
    assert_eq!(cache.store(&wasm).unwrap(), hash);
    assert_eq!(cache.find(&hash).unwrap().as_ref(), Some(&wasm));

    let engine = common::engine();
    let module = Module::load(&engine, &wasm).unwrap();
    let entry = invoke("add", &[Value::I32(2), Value::I32(3)]);
    let mut tasklet = Tasklet::spawn(&module, Host::empty(), entry).unwrap();
    let mut options = SnapshotOptions::default();
    options.embed_module = false;
    let snapshot = tasklet.snapshot(&options).unwrap();
    let error = Module::for_snapshot(&engine, &snapshot, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let found = Module::for_snapshot(&engine, &snapshot, Some(&cache)).unwrap();
    assert_eq!(found.hash(), hash);

    fs::write(directory.path().join("modules").join(format!("{hash}.wasm")), b"other").unwrap();
    assert_eq!(cache.find(&hash).unwrap(), None);
    cache.store(&wasm).unwrap();
    assert_eq!(cache.find(&hash).unwrap(), Some(wasm));
}

#[test]
fn modules_that_cannot_be_are_refused_by_kind() {
    let engine = common::engine();
    let kind = |wat: &str| {
        let wasm = wat::parse_str(wat).unwrap();
        match Module::load(&engine, &wasm) {
            Err(error) => error.kind(),
            Ok(module) => Tasklet::spawn(&module, Host::empty(), invoke("run", &[]))
                .map(drop)
                .unwrap_err()
                .kind(),
        }
    };
    assert_eq!(kind("(component)"), ErrorKind::Unsupported);
    assert_eq!(kind("(module (func (result i32)))"), ErrorKind::Module);
    assert_eq!(kind(r#"(module (func (export "tasklet.run")))"#), ErrorKind::Module);
    let out_of_bounds = r#"(module (memory 1) (data (i32.const 65536) "x")
        (func (export "run")))"#;
    assert_eq!(kind(out_of_bounds), ErrorKind::Module);
    assert_eq!(kind(r#"(module (memory 1) (func (export "walk")))"#), ErrorKind::Usage);
    assert_eq!(
        kind(r#"(module (import "a" "b" (func)) (func (export "run")))"#),
        ErrorKind::Import
    );
    assert_eq!(Module::load(&engine, b"garbage").unwrap_err().kind(), ErrorKind::Module);
}
