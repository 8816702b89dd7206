//! What the instrumenter makes is valid wasm, and needs hardly more of it than the original does.

use anyhow::{Context, ensure};
use tasklet_instrumenter::{Options, abi, instrument};
use tasklet_tests::parallel::for_all;
use tasklet_tests::{examples, generate};
use wasmparser::{Operator, Parser, Payload, Validator, WasmFeatures};

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
/// that the original needs. A `ref.func` is of a typed reference to begin with, whatever it becomes:
/// where one is alive at a resume point, its local is of that type (function references), and what
/// comes back out of the table of references is cast to it (`ref.cast`, of garbage collection).
fn features(wasm: &[u8]) -> WasmFeatures {
    let least = WasmFeatures::WASM2 | WasmFeatures::EXTENDED_CONST | WasmFeatures::MULTI_MEMORY;
    let all = LATE.into_iter().fold(least, |all, one| all | one);
    let needs = |one: &WasmFeatures| !is_valid(wasm, all - *one);
    let mut features = LATE.into_iter().filter(needs).fold(least, |all, one| all | one);
    let typed = WasmFeatures::FUNCTION_REFERENCES | WasmFeatures::GC;
    if needs(&WasmFeatures::FUNCTION_REFERENCES) || takes_functions(wasm) {
        features |= typed;
    }
    features
}

/// Whether there is a `ref.func` in its code.
fn takes_functions(wasm: &[u8]) -> bool {
    let is_one = |operator| matches!(operator, Ok(Operator::RefFunc { .. }));
    Parser::new(0).parse_all(wasm).any(|payload| match payload {
        Ok(Payload::CodeSectionEntry(body)) => {
            body.get_operators_reader().is_ok_and(|reader| reader.into_iter().any(is_one))
        }
        _ => false,
    })
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

#[test]
fn generated_modules_stay_valid() {
    let seeds: Vec<u64> = generate::seeds(SEEDS).collect();
    let one = |seed: &u64| -> anyhow::Result<()> {
        let Some(generated) = generate::module(*seed)? else { return Ok(()) };
        check(&generated.wasm).with_context(|| generate::keep(*seed, &generated.wasm))
    };
    for_all(&seeds, |seed| format!("seed {seed}"), one);
}
