//! Ours.

use anyhow::{Result, bail};
use tasklet_engine::wasi::Output;
use tasklet_engine::{
    CacheMode, Engine, EngineOptions, Entry, Host, Memories, Module, Outcome, Tasklet,
};

use crate::measure::{Compiled, Run};
use crate::programs::Program;
use crate::{cpu, wasi};

/// An instrumented and compiled program.
pub struct Ours {
    module: Module,
}

impl Ours {
    /// Instruments and compiles.
    pub fn compile(wasm: &[u8]) -> Result<Ours> {
        Ok(Ours { module: Module::load(&engine()?, wasm)? })
    }

    /// The same, repeatedly; says what it took.
    pub fn measured(wasm: &[u8]) -> Result<(Ours, Compiled)> {
        let engine = engine()?;
        let (seconds, module) = cpu::repeatedly(|| Module::load(&engine, wasm))?;
        // The engine does not show its native code. NB: made with the same settings.
        let mut config = wasmtime::Config::new();
        config.wasm_branch_hinting(true);
        let plain = wasmtime::Engine::new(&config).map_err(anyhow::Error::msg)?;
        let wasm = tasklet_instrumenter::instrument(wasm, &Default::default())?.wasm;
        let native = wasmtime::Module::new(&plain, &wasm).map_err(anyhow::Error::msg)?;
        let code_bytes = native.text().len();
        Ok((Ours { module }, Compiled { seconds, code_bytes, wasm_bytes: wasm.len() }))
    }

    /// A tasklet that is about to begin.
    pub fn spawn(&self, program: &Program, stdout: Output) -> Result<Tasklet> {
        let host = Host::builder().wasi(wasi::options(program, stdout)).build();
        Ok(Tasklet::spawn(&self.module, host, Entry::Command)?)
    }

    /// Runs once.
    pub fn run(&self, program: &Program) -> Result<Run> {
        let (stdout, capture) = Output::capture();
        let mut tasklet = self.spawn(program, stdout)?;
        let before = cpu::seconds();
        let outcome = tasklet.run(u64::MAX)?;
        let seconds = cpu::seconds() - before;
        if !matches!(outcome, Outcome::Finished(_) | Outcome::Exited(0)) {
            bail!("{}: ended with {outcome:?}", program.name);
        }
        Ok(Run { seconds, steps: Some(tasklet.steps_used()?), output: capture.bytes() })
    }
}

/// `TASKLET_BENCH_MEMORIES=dense` says what memories cost that are cut from a pool.
fn engine() -> Result<Engine> {
    let mut options = EngineOptions::default();
    options.cache = CacheMode::Off;
    if std::env::var_os("TASKLET_BENCH_MEMORIES").is_some_and(|name| name == "dense") {
        options.memories = Memories::Dense;
    }
    Ok(Engine::new(&options)?)
}
