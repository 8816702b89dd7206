//! The rivals: the original module in wasmtime, as it is, with fuel or with epochs; and the module
//! that Binaryen's Asyncify makes of it.

use anyhow::{Context, Result};
use tasklet_engine::wasi::{Output, Wasi};
use wasmtime::{Config, Engine, Linker, Module, Store, Val};

use crate::measure::{Compiled, Run};
use crate::programs::Program;
use crate::wasi::{self, Exit};
use crate::{cpu, polls};

/// How the program can be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// Not at all.
    None,
    /// `Config::consume_fuel`.
    Fuel,
    /// `Config::epoch_interruption`.
    Epoch,
}

/// A compiled program.
pub struct Plain {
    linker: Linker<Wasi>,
    module: Module,
    interruption: Interruption,
}

/// Compiles a module, repeatedly, and says what that took.
pub fn compile(config: &Config, wasm: &[u8]) -> Result<(Module, Compiled)> {
    let engine = Engine::new(config).map_err(anyhow::Error::msg)?;
    let (seconds, module) =
        cpu::repeatedly(|| Module::new(&engine, wasm)).map_err(anyhow::Error::msg)?;
    let compiled = Compiled { seconds, code_bytes: module.text().len(), wasm_bytes: wasm.len() };
    Ok((module, compiled))
}

impl Plain {
    /// Compiles.
    pub fn compile(program: &Program, interruption: Interruption) -> Result<(Plain, Compiled)> {
        let mut config = Config::new();
        config.consume_fuel(interruption == Interruption::Fuel);
        config.epoch_interruption(interruption == Interruption::Epoch);
        let (module, compiled) = compile(&config, &program.wasm)?;
        let linker = wasi::linker(module.engine()).map_err(anyhow::Error::msg)?;
        Ok((Plain { linker, module, interruption }, compiled))
    }

    /// Compiles what Asyncify has made; it never pauses in this measurement, as the others do not.
    pub fn asyncified(wasm: &[u8]) -> Result<(Plain, Compiled)> {
        let (module, compiled) = compile(&Config::new(), wasm)?;
        let mut linker = wasi::linker(module.engine()).map_err(anyhow::Error::msg)?;
        linker
            .func_wrap(polls::YIELD[0], polls::YIELD[1], || -> wasmtime::Result<()> {
                wasmtime::bail!("the fuel was used up")
            })
            .map_err(anyhow::Error::msg)?;
        Ok((Plain { linker, module, interruption: Interruption::None }, compiled))
    }

    /// Runs once.
    pub fn run(&self, program: &Program) -> Result<Run> {
        let (stdout, capture) = Output::capture();
        let wasi = Wasi::new(wasi::options(program, stdout))?;
        let mut store = Store::new(self.module.engine(), wasi);
        if self.interruption == Interruption::Fuel {
            store.set_fuel(u64::MAX / 2).map_err(anyhow::Error::msg)?;
        }
        store.set_epoch_deadline(1 << 40);
        let instance =
            self.linker.instantiate(&mut store, &self.module).map_err(anyhow::Error::msg)?;
        if let Some(fuel) = instance.get_global(&mut store, polls::FUEL) {
            fuel.set(&mut store, Val::I64(i64::MAX)).map_err(anyhow::Error::msg)?;
        }
        let start =
            instance.get_typed_func::<(), ()>(&mut store, "_start").map_err(anyhow::Error::msg)?;
        let fuel = store.get_fuel().ok();
        let before = cpu::seconds();
        let result = start.call(&mut store, ());
        let seconds = cpu::seconds() - before;
        match result {
            Err(error) if !matches!(error.downcast_ref(), Some(Exit(0))) => {
                return Err(anyhow::Error::msg(error)).context(program.name.clone());
            }
            _ => {}
        }
        let steps = fuel.map(|before| before - store.get_fuel().unwrap_or(0));
        Ok(Run { seconds, steps, output: capture.bytes() })
    }
}
