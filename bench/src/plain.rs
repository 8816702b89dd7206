//! The rivals: the original module in wasmtime, with the engine's WASI.

use anyhow::Result;
use tasklet_engine::wasi::{Abi, Function, Outcome, Output, Preopen, Stdin, Wasi, WasiOptions};
use wasmtime::{Caller, Config, Engine, Extern, FuncType, Linker, Module, Store, Val, ValType};

use crate::{Program, cpu};

/// How wasmtime can be made to stop a program.
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
    module: Module,
    interruption: Interruption,
    /// CPU seconds it took to compile.
    pub compile_seconds: f64,
    /// Size of the native code.
    pub code_bytes: usize,
}

/// One run.
pub struct Run {
    /// CPU seconds.
    pub seconds: f64,
    /// Steps, where they are counted.
    pub steps: Option<u64>,
    /// Standard output.
    pub output: Vec<u8>,
}

/// The program's WASI options; its standard output goes to `stdout`.
pub fn wasi_options(program: &Program, stdout: Output) -> WasiOptions {
    let preopen = |host| Preopen { host, guest: ".".into(), read_only: true };
    WasiOptions {
        args: program.args.clone(),
        preopens: program.dir.clone().map(preopen).into_iter().collect(),
        stdin: Stdin::Bytes(program.stdin.clone()),
        stdout,
        stderr: Output::stderr(),
        seed: Some(1),
        ..WasiOptions::default()
    }
}

/// Native code size of a compiled module.
pub fn code_bytes(module: &Module) -> usize {
    module.text().len()
}

impl Plain {
    /// Compiles.
    pub fn compile(program: &Program, interruption: Interruption) -> Result<Plain> {
        let mut config = Config::new();
        config.consume_fuel(interruption == Interruption::Fuel);
        config.epoch_interruption(interruption == Interruption::Epoch);
        let engine = Engine::new(&config).map_err(anyhow::Error::msg)?;
        let before = cpu::seconds();
        let module = Module::new(&engine, &program.wasm).map_err(anyhow::Error::msg)?;
        let compile_seconds = cpu::seconds() - before;
        let code_bytes = code_bytes(&module);
        Ok(Plain { module, interruption, compile_seconds, code_bytes })
    }

    /// Runs once.
    pub fn run(&self, program: &Program) -> Result<Run> {
        let (stdout, capture) = Output::capture();
        let wasi = Wasi::new(wasi_options(program, stdout))?;
        let mut store = Store::new(self.module.engine(), wasi);
        if self.interruption == Interruption::Fuel {
            store.set_fuel(u64::MAX / 2).map_err(anyhow::Error::msg)?;
        }
        store.set_epoch_deadline(1 << 40);
        let linker = linker(self.module.engine()).map_err(anyhow::Error::msg)?;
        let instance = linker.instantiate(&mut store, &self.module).map_err(anyhow::Error::msg)?;
        let start =
            instance.get_typed_func::<(), ()>(&mut store, "_start").map_err(anyhow::Error::msg)?;
        let fuel = store.get_fuel().ok();
        let before = cpu::seconds();
        let result = start.call(&mut store, ());
        let seconds = cpu::seconds() - before;
        match result {
            Err(error) if !matches!(error.downcast_ref(), Some(Exit(0))) => {
                return Err(anyhow::Error::msg(error));
            }
            _ => {}
        }
        let steps = fuel.map(|before| before - store.get_fuel().unwrap_or(0));
        Ok(Run { seconds, steps, output: capture.bytes() })
    }
}

/// `proc_exit` was called, with this code.
#[derive(Debug)]
struct Exit(u32);

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {}", self.0)
    }
}

impl std::error::Error for Exit {}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<Wasi>> {
    let mut linker = Linker::new(engine);
    for &function in Function::ALL {
        let types = |list: &[Abi]| {
            list.iter()
                .map(|abi| match abi {
                    Abi::I32 => ValType::I32,
                    Abi::I64 => ValType::I64,
                })
                .collect::<Vec<_>>()
        };
        let ty = FuncType::new(engine, types(function.params()), types(function.results()));
        linker.func_new(
            "wasi_snapshot_preview1",
            function.name(),
            ty,
            move |mut caller: Caller<'_, Wasi>, args, results| {
                let args: Vec<u64> = args
                    .iter()
                    .map(|arg| match arg {
                        Val::I32(value) => u64::from(*value as u32),
                        Val::I64(value) => *value as u64,
                        _ => 0,
                    })
                    .collect();
                let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
                    wasmtime::bail!("the program exports no memory");
                };
                let (memory, wasi) = memory.data_and_store_mut(&mut caller);
                loop {
                    match wasi.call(function, &args, memory, 0) {
                        Outcome::Return(errno) => {
                            results[0] = Val::I32(i32::from(errno.code()));
                            return Ok(());
                        }
                        Outcome::Exit(code) => return Err(wasmtime::Error::new(Exit(code))),
                        Outcome::Wait(wait) => wasi.block_on(&wait, &|| false),
                    }
                }
            },
        )?;
    }
    Ok(linker)
}
