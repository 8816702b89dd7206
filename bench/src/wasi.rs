//! The engine's WASI in a linker of wasmtime's: the rivals get what a tasklet gets.

use std::fmt;

use tasklet_engine::wasi::{Abi, Function, Outcome, Output, Preopen, Wasi, WasiOptions};
use wasmtime::{Caller, Engine, Extern, FuncType, Linker, Val, ValType};

use crate::programs::Program;

/// The program's WASI options; its standard output goes to `stdout`.
pub fn options(program: &Program, stdout: Output) -> WasiOptions {
    let preopen = |host| Preopen { host, guest: ".".into(), read_only: true };
    WasiOptions {
        args: program.args.clone(),
        preopens: program.dir.clone().map(preopen).into_iter().collect(),
        stdout,
        stderr: Output::stderr(),
        seed: Some(1),
        ..WasiOptions::default()
    }
}

/// `proc_exit` was called, with this code.
#[derive(Debug)]
pub struct Exit(pub u32);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}", self.0)
    }
}

impl std::error::Error for Exit {}

/// A linker with all functions of WASI preview 1.
pub fn linker(engine: &Engine) -> wasmtime::Result<Linker<Wasi>> {
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
            move |caller: Caller<'_, Wasi>, args, results| call(function, caller, args, results),
        )?;
    }
    Ok(linker)
}

fn call(
    function: Function,
    mut caller: Caller<'_, Wasi>,
    args: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
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
            Outcome::Trap(why) => wasmtime::bail!("{why}"),
            Outcome::HostFailed(why) => wasmtime::bail!("{why}"),
            Outcome::Wait(wait) => wasi.block_on(&wait, &|| false),
        }
    }
}
