//! What the instrumenter makes is valid wasm of the standard, plus multi-memory, and nothing else.

use anyhow::{Context, ensure};
use tasklet_instrumenter::{Options, abi, instrument};
use tasklet_tests::parallel::for_all;
use tasklet_tests::{examples, generate};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

const SEEDS: u64 = 1_000;

fn features() -> WasmFeatures {
    WasmFeatures::WASM2 | WasmFeatures::EXTENDED_CONST | WasmFeatures::MULTI_MEMORY
}

fn check(wasm: &[u8]) -> anyhow::Result<()> {
    let made = instrument(wasm, &Options::default())?;
    Validator::new_with_features(features())
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
