//! Damaged modules, and what may come of them.

use anyhow::{Context, bail, ensure};
use tasklet_engine::{Engine, Entry, Error, ErrorKind, Host, Module, Tasklet};
use tasklet_instrumenter::{Options, instrument};
use wasmparser::{Validator, WasmFeatures};

use crate::generate;
use crate::random::Random;

/// A module with a few bytes changed.
pub fn damaged(wasm: &[u8], random: &mut Random) -> Vec<u8> {
    let mut wasm = wasm.to_vec();
    for _ in 0..1 + random.below(3) {
        let at = random.below(wasm.len() as u64) as usize;
        match random.below(3) {
            0 => wasm[at] = random.word() as u8,
            _ => wasm[at] ^= 1 << random.below(8),
        }
    }
    wasm
}

/// Fails unless the bytes give a module, which can be started, or an error that is not our own
/// fault.
pub fn survives(wasm: &[u8]) -> anyhow::Result<()> {
    let tried = std::panic::catch_unwind(|| started(crate::engine(), wasm));
    match tried {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => match error.kind() {
            ErrorKind::Internal | ErrorKind::Io | ErrorKind::Snapshot => Err(error.into()),
            _ => Ok(()),
        },
        Err(panic) => bail!("panicked: {}", crate::parallel::message(&*panic)),
    }
}

fn started(engine: &Engine, wasm: &[u8]) -> Result<(), Error> {
    let module = Module::load(engine, wasm)?;
    let mut tasklet = Tasklet::spawn(&module, Host::empty(), Entry::Command)?;
    tasklet.run(10_000)?;
    Ok(())
}

/// Fails unless the bytes give a valid module or an error that says that they are not one.
pub fn instruments(wasm: &[u8]) -> anyhow::Result<bool> {
    let tried = std::panic::catch_unwind(|| instrument(wasm, &Options::default()));
    match tried {
        Ok(Ok(made)) => {
            let valid = Validator::new_with_features(WasmFeatures::all()).validate_all(&made.wasm);
            valid.context("the output is not valid")?;
            Ok(true)
        }
        Ok(Err(error)) => {
            let own = error.kind() == tasklet_instrumenter::ErrorKind::Internal;
            ensure!(!own, "{error}");
            Ok(false)
        }
        Err(panic) => bail!("panicked: {}", crate::parallel::message(&*panic)),
    }
}

/// How many damaged modules there are of one seed.
const DAMAGED: u64 = 100;

/// Damages the module of a seed in many ways; how many of what came of it were valid. What fails is
/// kept; the error says where.
pub fn check(seed: u64) -> anyhow::Result<u64> {
    let Some(generated) = generate::module(seed)? else { return Ok(0) };
    let mut random = Random::new(seed);
    let mut valid = 0;
    for _ in 0..DAMAGED {
        let wasm = damaged(&generated.wasm, &mut random);
        let was_valid = instruments(&wasm).with_context(|| generate::keep(seed, &wasm))?;
        valid += u64::from(was_valid);
    }
    Ok(valid)
}
