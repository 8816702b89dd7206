//! The SDK for guests: that a module which uses it imports what it calls and nothing else, with the
//! types that schedulers provide, in its Rust form and in its C form.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde::Serialize;
use tasklet_engine::Message;
use wasmparser::{FuncType, Parser, Payload, TypeRef, ValType};

type Signature = (Vec<ValType>, Vec<ValType>);

/// The imports of a module, by module and name.
fn imports(wasm: &[u8]) -> BTreeMap<(String, String), Signature> {
    let mut types: Vec<FuncType> = Vec::new();
    let mut found = BTreeMap::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.unwrap() {
            Payload::TypeSection(section) => {
                types = section.into_iter_err_on_gc_types().map(Result::unwrap).collect();
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.unwrap();
                    let TypeRef::Func(ty) = import.ty else { panic!("{import:?}") };
                    let ty = &types[ty as usize];
                    let signature = (ty.params().to_vec(), ty.results().to_vec());
                    found.insert((import.module.into(), import.name.into()), signature);
                }
            }
            _ => {}
        }
    }
    found
}

#[test]
fn guests_import_what_they_call() {
    let common = ["argument", "channel", "receive", "send", "spawn", "close"];
    let uses: [(&str, &[&str]); 6] = [
        ("chat", &common),
        ("game", &["channel", "receive", "rest", "send"]),
        ("philosophers", &["argument", "channel", "receive", "send", "spawn", "close", "yield"]),
        ("ping-pong", &["argument", "channel", "receive", "send", "spawn", "close", "rest"]),
        (
            "pipeline",
            &["argument", "channel", "close", "new_channel", "receive", "rest", "send", "spawn"],
        ),
        ("tree", &["argument", "channel", "receive", "send", "fork"]),
    ];
    for (name, uses) in uses {
        let path = format!("guest-examples/tasklets/{name}.wasm");
        let wasm = fs::read(tasklet_tests::root().join(path)).unwrap();
        let found = imports(&wasm);
        assert!(found.keys().all(|(module, _)| module == "tasklet"), "{name}: {found:?}");
        let names: BTreeSet<&str> = found.keys().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, uses.iter().copied().collect(), "{name}");
    }
}

/// What C's header declares, Rust's crate does too, under the same name.
#[test]
fn both_forms_declare_the_same_imports() {
    let read = |path: &str| fs::read_to_string(tasklet_tests::root().join(path)).unwrap();
    let between = |text: &str, begin: &str| -> BTreeSet<String> {
        let pieces = text.split(begin).skip(1);
        pieces.map(|piece| piece.split('"').next().unwrap().to_string()).collect()
    };
    let rust = between(&read("guest/src/sys/wasm.rs"), "#[link_name = \"");
    let c = between(&read("guest/include/tasklet.h"), "TASKLET_IMPORT(\"");
    assert!(rust.len() > 18);
    assert_eq!(rust, c);
}

/// What a guest encodes is what the engine does, to the byte, and each reads the other's.
#[test]
fn both_sides_encode_alike() {
    #[derive(Serialize)]
    enum Kind {
        Unit,
        Tuple(i8, f64),
        Named { zulu: Option<u64>, alpha: Vec<String>, b: [i64; 3] },
    }
    let named = Kind::Named { zulu: None, alpha: vec!["x".into()], b: [-1, 24, 1 << 40] };
    let maps = BTreeMap::from([("longest", 1.5), ("b", 1e300), ("aa", f64::INFINITY)]);
    let values = (Kind::Unit, Kind::Tuple(-7, 0.5), named, maps, ((), 'c', "text", true));
    let ours = tasklet_guest::encode(&values).unwrap();
    assert_eq!(Message::encode(&values).unwrap(), Message::Data(ours));
    let bytes = tasklet_guest::encode(&BTreeMap::from([(3u8, "c"), (1, "a")])).unwrap();
    let read: BTreeMap<u8, String> = Message::Data(bytes.clone()).decode().unwrap();
    assert_eq!(tasklet_guest::decode::<BTreeMap<u8, String>>(&bytes).unwrap(), read);
    // Too deep for both.
    let deep = Message::Data(vec![0x81; 1000]);
    assert!(deep.decode::<Vec<Vec<u8>>>().is_err());
    assert!(tasklet_guest::decode::<Vec<Vec<u8>>>(deep.bytes()).is_err());
}
