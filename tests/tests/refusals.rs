//! Modules that are damaged, invalid or ask for what tasklet does not carry: each is refused with
//! an error that says why, and where.

use tasklet_engine::{ErrorKind, Module};
use tasklet_instrumenter::{self as instrumenter, Options};
use tasklet_tests::examples;
use tasklet_tests::hostile::{damaged, survives};
use tasklet_tests::parallel::for_all;
use tasklet_tests::random::Random;

/// What a refusal must say: a part of the text, and the function's name if it is in a function.
struct Refused {
    wat: &'static str,
    says: &'static str,
    function: Option<&'static str>,
}

const fn module(says: &'static str, wat: &'static str) -> Refused {
    Refused { wat, says, function: None }
}

const fn function(says: &'static str, wat: &'static str) -> Refused {
    Refused { wat, says, function: Some("culprit") }
}

/// Function 2 is `$culprit` where there is one; an import and `$innocent` come before it.
const REFUSED: &[Refused] = &[
    module("shared", "(memory 1 1 shared)"),
    module("custom page sizes", "(memory 1 (pagesize 1))"),
    module("garbage-collected", "(type $s (struct (field i32)))"),
    function("garbage-collected", r#"(func $culprit (drop (ref.i31 (i32.const 1))))"#),
    // A type is no part of a function, though it may be one's alone.
    module("garbage-collected", "(func $culprit (param anyref))"),
    function("garbage-collected", "(func $culprit (local eqref))"),
    function("garbage-collected", "(func $culprit (drop (ref.null any)))"),
    module("garbage-collected", "(table 1 i31ref)"),
    module("garbage-collected", "(type $open (sub (func)))"),
    module(
        "stack switching",
        r#"(type $k (cont 0))
        (func $culprit (drop (cont.new $k (ref.func $innocent)))) (elem declare func $innocent)"#,
    ),
    module("non-null", r#"(import "env" "t" (table 1 (ref func)))"#),
];

fn text(refused: &Refused) -> String {
    // Imports come first in the text format.
    let (imports, rest) = match refused.wat.starts_with("(import") {
        true => (refused.wat, ""),
        false => ("", refused.wat),
    };
    let inner = format!(
        r#"(type (func)) (import "env" "import" (func)) {imports} (func $innocent) {rest}"#
    );
    format!("(module {inner})")
}

#[test]
fn refused_features_are_named() {
    let check = |refused: &Refused| -> anyhow::Result<()> {
        let wasm = wat::parse_str(text(refused))?;
        let Err(error) = instrumenter::instrument(&wasm, &Options::default()) else {
            anyhow::bail!("it is accepted");
        };
        anyhow::ensure!(error.kind() == instrumenter::ErrorKind::Unsupported, "{error}");
        anyhow::ensure!(error.to_string().contains(refused.says), "{error}");
        if let Some(name) = refused.function {
            let place = error.place().cloned().unwrap_or_default();
            anyhow::ensure!(place.function == Some(2), "{error}");
            anyhow::ensure!(place.name.as_deref() == Some(name), "{error}");
            let offset = place.offset.unwrap_or(0);
            anyhow::ensure!((8..wasm.len() as u64).contains(&offset), "{error}");
        }
        let loaded = Module::load(tasklet_tests::engine(), &wasm);
        anyhow::ensure!(loaded.is_err_and(|e| e.kind() == ErrorKind::Unsupported));
        anyhow::ensure!(instrumenter::check(&wasm).is_err(), "`check` accepts it");
        Ok(())
    };
    for_all(REFUSED, |refused| refused.wat.to_string(), check);
}

/// The text format no longer has legacy exceptions, so this one is written by hand.
#[test]
fn legacy_exceptions_are_refused_with_the_way_out() {
    let mut wasm = wat::parse_str("(module (func $old (block (nop))))").unwrap();
    let block = wasm.windows(4).position(|w| w == [0x02, 0x40, 0x01, 0x0b]).unwrap();
    // try, of no type; catch_all; end.
    wasm[block..block + 4].copy_from_slice(&[0x06, 0x40, 0x19, 0x0b]);
    let error = instrumenter::instrument(&wasm, &Options::default()).unwrap_err();
    assert_eq!(error.kind(), instrumenter::ErrorKind::Unsupported, "{error}");
    let text = error.to_string();
    assert!(text.contains("legacy") && text.contains("--translate-to-exnref"), "{text}");
    let place = error.place().unwrap();
    assert_eq!((place.function, place.name.as_deref()), (Some(0), Some("old")));
    assert_eq!(place.offset, Some(block as u64));
}

#[test]
fn reserved_names_are_refused() {
    for export in ["(func (export \"tasklet.run\"))", "(memory (export \"tasklet.\") 1)"] {
        let wasm = wat::parse_str(format!("(module {export})")).unwrap();
        let error = instrumenter::instrument(&wasm, &Options::default()).unwrap_err();
        assert_eq!(error.kind(), instrumenter::ErrorKind::Reserved, "{error}");
        assert!(error.to_string().contains("tasklet."), "{error}");
    }
}

#[test]
fn what_is_no_core_module_is_refused() {
    let component = wat::parse_str("(component)").unwrap();
    let kind = |bytes: &[u8]| {
        let error = instrumenter::instrument(bytes, &Options::default()).unwrap_err();
        let same = instrumenter::check(bytes).unwrap_err();
        assert_eq!(error.kind(), same.kind());
        (error.kind(), error.to_string())
    };
    let (found, text) = kind(&component);
    assert_eq!(found, instrumenter::ErrorKind::Component);
    assert!(text.contains("component"), "{text}");
    let invalid: [&[u8]; 6] = [
        b"",
        b"\0asm",
        b"\0asm\x02\0\0\0",
        b"not wasm at all",
        b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
        b"(module)",
    ];
    for bytes in invalid {
        assert_eq!(kind(bytes).0, instrumenter::ErrorKind::Invalid, "{bytes:?}");
    }
    // Valid in form, wrong in type.
    let body = r#"(module (func $fine) (func $wrong (result i32) (i64.const 1)))"#;
    let (found, text) = kind(&wat::parse_str(body).unwrap());
    assert_eq!(found, instrumenter::ErrorKind::Invalid);
    assert!(text.contains("function 1") && text.contains("offset"), "{text}");
}

fn small_programs() -> Vec<(String, Vec<u8>)> {
    let small = examples::programs().into_iter().filter(|(_, wasm)| wasm.len() < 1_000);
    let mut programs: Vec<_> = small.map(|(path, w)| (path.display().to_string(), w)).collect();
    assert!(programs.len() >= 4);
    let extra = wat::parse_str(
        r#"(module $m (type $t (func (param v128 f32) (result i64 f64)))
          (table 2 3 funcref) (elem (i32.const 0) $f $f) (memory 1) (data (i32.const 3) "abc")
          (global (mut v128) (v128.const i32x4 1 2 3 4)) (start $s) (func $s)
          (func $f (type $t) (local funcref i64) (loop (br_table 0 1 (i32.const 9)))
            (i64.const 1) (f64.const 2)))"#,
    );
    programs.push(("all sections".into(), extra.unwrap()));
    programs
}

#[test]
fn truncated_modules_are_refused() {
    for (name, wasm) in small_programs() {
        let lengths: Vec<usize> = (0..wasm.len()).collect();
        for_all(
            &lengths,
            |length| format!("{name} cut to {length} bytes"),
            |length| survives(&wasm[..*length]),
        );
    }
}

#[test]
fn damaged_modules_are_refused() {
    for (number, (name, wasm)) in small_programs().into_iter().enumerate() {
        let seeds: Vec<u64> = (0..1_000).map(|seed| seed + number as u64 * 1_000_000).collect();
        let damage = |seed: &u64| {
            let mut random = Random::new(*seed);
            survives(&damaged(&wasm, &mut random))
        };
        for_all(&seeds, |seed| format!("{name}, seed {seed}"), damage);
    }
}
