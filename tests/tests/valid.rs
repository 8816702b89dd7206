//! What the instrumenter makes is valid wasm, and needs hardly more of it than the original does.

use anyhow::{Context, ensure};
use tasklet_instrumenter::{Options, abi, instrument};
use tasklet_tests::parallel::for_all;
use tasklet_tests::{examples, generate};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

const SEEDS: u64 = 1_000;

/// What came after wasm 2.0, as far as it can be instrumented.
const LATE: [WasmFeatures; 7] = [
    WasmFeatures::EXCEPTIONS,
    WasmFeatures::TAIL_CALL,
    WasmFeatures::MEMORY64,
    WasmFeatures::RELAXED_SIMD,
    WasmFeatures::WIDE_ARITHMETIC,
    WasmFeatures::FUNCTION_REFERENCES,
    WasmFeatures::GC,
];

/// What the output may need: multi-memory, for the memory of frames, and of the late features those
/// that the original needs. If it has typed references, what comes back out of the table of
/// references is cast to them (`ref.cast`, of garbage collection).
fn features(wasm: &[u8]) -> WasmFeatures {
    let least = WasmFeatures::WASM2 | WasmFeatures::EXTENDED_CONST | WasmFeatures::MULTI_MEMORY;
    let all = LATE.into_iter().fold(least, |all, one| all | one);
    let needs = |one: &WasmFeatures| !is_valid(wasm, all - *one);
    let mut features = LATE.into_iter().filter(needs).fold(least, |all, one| all | one);
    if needs(&WasmFeatures::FUNCTION_REFERENCES) {
        features |= WasmFeatures::GC;
    }
    features
}

fn is_valid(wasm: &[u8], features: WasmFeatures) -> bool {
    Validator::new_with_features(features).validate_all(wasm).is_ok()
}

fn check(wasm: &[u8]) -> anyhow::Result<()> {
    let made = instrument(wasm, &Options::default())?;
    Validator::new_with_features(features(wasm))
        .validate_all(&made.wasm)
        .context("the output is not valid")?;
    let (before, after) = (exports(wasm)?, exports(&made.wasm)?);
    let own = |name: &&String| name.starts_with(abi::PREFIX);
    let kept: Vec<&String> = after.iter().filter(|name| !own(name)).collect();
    ensure!(kept.iter().copied().eq(&before), "exports {before:?} became {kept:?}");
    let starts = Parser::new(0)
        .parse_all(&made.wasm)
        .any(|payload| matches!(payload, Ok(Payload::StartSection { .. })));
    ensure!(!starts, "the output has a start function");
    let read = tasklet_instrumenter::Metadata::from_wasm(&made.wasm)?;
    ensure!(read == made.metadata, "the section holds other metadata");
    Ok(())
}

fn exports(wasm: &[u8]) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::ExportSection(reader) = payload? {
            for export in reader {
                names.push(export?.name.to_string());
            }
        }
    }
    Ok(names)
}

#[test]
fn examples_stay_valid() {
    for_all(&examples::programs(), |(path, _)| path.display().to_string(), |(_, w)| check(w));
}

/// What a `ref.func` makes is of a typed reference, which wasm 2.0 has not.
#[test]
fn references_to_functions_that_are_alive_need_no_more_than_wasm_2() {
    let wasm = wat::parse_str(
        r#"(module (type $t (func (param funcref))) (table 3 funcref) (elem declare func $f $g)
          (global $kept (mut funcref) (ref.null func))
          (func $f (type $t) (loop $again (br_if $again (i32.const 0))))
          (func $g (export "g") (result funcref)
            ref.func $f ref.func $g
            (call $f (ref.func $f))
            (call_indirect (type $t) (i32.const 0))
            (table.set (i32.const 1) (ref.func $f))
            (block $b (param funcref) (result funcref) (br_if $b (i32.const 1)))
            (global.set $kept)
            (if (result funcref) (i32.const 1) (then (ref.func $f)) (else (ref.null func)))
            (call $f (ref.null func))))"#,
    );
    let wasm = wasm.expect("it is written right");
    assert!(is_valid(&wasm, WasmFeatures::WASM2));
    check(&wasm).unwrap();
    let made = instrument(&wasm, &Options::default()).unwrap();
    let needed = WasmFeatures::WASM2 | WasmFeatures::MULTI_MEMORY;
    assert!(is_valid(&made.wasm, needed));
}

#[test]
fn generated_modules_stay_valid() {
    let seeds: Vec<u64> = generate::seeds(SEEDS).collect();
    let one = |seed: &u64| -> anyhow::Result<()> {
        let Some(generated) = generate::module(*seed)? else { return Ok(()) };
        check(&generated.wasm).with_context(|| generate::keep(*seed, &generated.wasm))
    };
    for_all(&seeds, |seed| format!("seed {seed}"), one);
}
