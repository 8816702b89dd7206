//! Ours.

use anyhow::{Result, bail};
use tasklet_engine::wasi::Output;
use tasklet_engine::{CacheMode, Engine, EngineOptions, Entry, Host, Module, Outcome, Tasklet};

use crate::plain::{Run, code_bytes, wasi_options};
use crate::{Program, cpu};

/// An instrumented and compiled program.
pub struct Ours {
    module: Module,
    /// CPU seconds it took to instrument and compile.
    pub compile_seconds: f64,
    /// Size of the native code.
    pub code_bytes: usize,
}

impl Ours {
    /// Instruments and compiles.
    pub fn compile(program: &Program) -> Result<Ours> {
        let mut options = EngineOptions::default();
        options.cache = CacheMode::Off;
        let engine = Engine::new(&options)?;
        let before = cpu::seconds();
        let module = Module::load(&engine, &program.wasm)?;
        let compile_seconds = cpu::seconds() - before;
        let mut config = wasmtime::Config::new();
        config.wasm_branch_hinting(true);
        let plain = wasmtime::Engine::new(&config).map_err(anyhow::Error::msg)?;
        let wasm = tasklet_instrumenter::instrument(&program.wasm, &Default::default())?.wasm;
        let compiled = wasmtime::Module::new(&plain, &wasm).map_err(anyhow::Error::msg)?;
        Ok(Ours { module, compile_seconds, code_bytes: code_bytes(&compiled) })
    }

    /// CPU seconds of one slice with a budget of 1: a pause, a resume and at most a few steps, of
    /// which there are up to `slices_max`.
    pub fn pause_seconds(&self, program: &Program, slices_max: u64) -> Result<f64> {
        let (stdout, _capture) = Output::capture();
        let host = Host::builder().wasi(wasi_options(program, stdout)).build();
        let mut tasklet = Tasklet::spawn(&self.module, host, Entry::Command)?;
        let mut slices = 0;
        let before = cpu::seconds();
        while slices < slices_max && tasklet.run(1)? == Outcome::OutOfBudget {
            slices += 1;
        }
        Ok((cpu::seconds() - before) / slices.max(1) as f64)
    }

    /// Runs once.
    pub fn run(&self, program: &Program) -> Result<Run> {
        let (stdout, capture) = Output::capture();
        let host = Host::builder().wasi(wasi_options(program, stdout)).build();
        let mut tasklet = Tasklet::spawn(&self.module, host, Entry::Command)?;
        let before = cpu::seconds();
        let outcome = tasklet.run(u64::MAX)?;
        let seconds = cpu::seconds() - before;
        if !matches!(outcome, Outcome::Finished(_) | Outcome::Exited(0)) {
            bail!("{}: ended with {outcome:?}", program.name);
        }
        Ok(Run { seconds, steps: Some(tasklet.steps_used()?), output: capture.bytes() })
    }
}
