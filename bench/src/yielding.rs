//! A program that Asyncify has rewritten, driven the way Asyncify is meant to be: what a pause and
//! a resume cost there.

use anyhow::{Result, ensure};
use wasmtime::{Caller, Config, Engine, Global, Linker, Module, Store, TypedFunc, Val};

use crate::polls;

/// Where in the program's memory its frames go: the address of the area, which starts with its two
/// ends.
const AREA: i32 = 0;
const AREA_BYTES: i32 = 1 << 20;

/// Native stack. Asyncify calls every frame anew at a resume.
const STACK_BYTES: usize = 2 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Unwinding,
    Rewinding,
}

/// A paused program.
pub struct Yielding {
    store: Store<Phase>,
    fuel: Global,
    start: TypedFunc<(), ()>,
    stop_unwind: TypedFunc<(), ()>,
    start_rewind: TypedFunc<i32, ()>,
}

impl Yielding {
    /// Starts a program that uses none of its memory, for so many steps.
    pub fn start(wasm: &[u8], steps: i64) -> wasmtime::Result<Yielding> {
        let mut config = Config::new();
        config.max_wasm_stack(STACK_BYTES);
        let engine = Engine::new(&config)?;
        let module = Module::new(&engine, wasm)?;
        let mut linker = Linker::new(&engine);
        linker.func_wrap(polls::YIELD[0], polls::YIELD[1], turn)?;
        linker.define_unknown_imports_as_traps(&module)?;
        let mut store = Store::new(&engine, Phase::Running);
        let instance = linker.instantiate(&mut store, &module)?;
        let (Some(memory), Some(fuel)) = (
            instance.get_memory(&mut store, "memory"),
            instance.get_global(&mut store, polls::FUEL),
        ) else {
            wasmtime::bail!("the program exports no memory or no fuel");
        };
        for (at, value) in [(AREA, AREA + 8), (AREA + 4, AREA + AREA_BYTES)] {
            memory.write(&mut store, at as usize, &value.to_le_bytes())?;
        }
        let start = instance.get_typed_func(&mut store, "_start")?;
        let stop_unwind = instance.get_typed_func(&mut store, "asyncify_stop_unwind")?;
        let start_rewind = instance.get_typed_func(&mut store, "asyncify_start_rewind")?;
        let mut yielding = Yielding { store, fuel, start, stop_unwind, start_rewind };
        yielding.slice(steps)?;
        Ok(yielding)
    }

    /// Goes on for so many steps.
    pub fn resume(&mut self, steps: i64) -> Result<()> {
        let turned = self.start_rewind.call(&mut self.store, AREA);
        turned.map_err(anyhow::Error::msg)?;
        *self.store.data_mut() = Phase::Rewinding;
        self.slice(steps).map_err(anyhow::Error::msg)?;
        ensure!(*self.store.data() == Phase::Running, "the program did not pause");
        Ok(())
    }

    fn slice(&mut self, steps: i64) -> wasmtime::Result<()> {
        self.fuel.set(&mut self.store, Val::I64(steps))?;
        self.start.call(&mut self.store, ())?;
        if *self.store.data() != Phase::Unwinding {
            wasmtime::bail!("the program ended");
        }
        self.stop_unwind.call(&mut self.store, ())?;
        *self.store.data_mut() = Phase::Running;
        Ok(())
    }
}

/// The import that is called when the fuel is used up, and again when the frames are there again.
fn turn(mut caller: Caller<'_, Phase>) -> wasmtime::Result<()> {
    let (name, phase) = match caller.data() {
        Phase::Running => ("asyncify_start_unwind", Phase::Unwinding),
        _ => ("asyncify_stop_rewind", Phase::Running),
    };
    let Some(function) = caller.get_export(name).and_then(wasmtime::Extern::into_func) else {
        wasmtime::bail!("the program was not made by Asyncify");
    };
    let area = [Val::I32(AREA)];
    let args = if phase == Phase::Unwinding { &area[..] } else { &[] };
    function.call(&mut caller, args, &mut [])?;
    *caller.data_mut() = phase;
    Ok(())
}
