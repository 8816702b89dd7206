//! WASI preview 1 as imports.
//!
//! Nothing in [`crate::wasi`] blocks. A call that has to wait makes the guest unwind, and is issued
//! again when the tasklet runs again: its pending state is what a snapshot holds. Where nothing can
//! be unwound, because a host import has called back into the guest, waiting blocks in place.

use tasklet_instrumenter::{FunctionType, ValType, abi};
use wasmtime::{AsContextMut, Caller, Func, FuncType, Linker, Store, Val};

use super::HostBuilder;
use super::link::check_type;
use crate::error::Error;
use crate::sched;
use crate::snapshot::HostValue;
use crate::state::{Context, Pause, PauseReason, State};
use crate::trap::Ended;
use crate::wasi::{
    Abi, Function, Outcome, RestoreOptions, Wasi, WasiError, WasiOptions, WasiState,
};

/// The module name of the imports, and the name of the state in snapshots.
pub(crate) const NAMESPACE: &str = "wasi_snapshot_preview1";

/// What a guest's system interface is made of.
pub(crate) enum WasiSetup {
    New(WasiOptions),
    Restore(RestoreOptions),
    /// It is put in once the tasklet is there.
    Later,
}

impl HostBuilder {
    /// Provides WASI preview 1 to a tasklet that is to be spawned.
    pub fn wasi(mut self, options: WasiOptions) -> HostBuilder {
        self.host.wasi = Some(WasiSetup::New(options));
        self
    }

    /// Provides WASI preview 1 to a tasklet that is to be loaded: its directories and files are
    /// mapped anew, everything else is in the snapshot.
    pub fn wasi_restore(mut self, options: RestoreOptions) -> HostBuilder {
        self.host.wasi = Some(WasiSetup::Restore(options));
        self
    }
}

impl WasiSetup {
    /// The state of a guest that has not begun. A deterministic one without a seed has the seed 0.
    pub(crate) fn begin(self, deterministic: bool) -> Result<Wasi, Error> {
        match self {
            WasiSetup::New(mut options) if deterministic => {
                options.seed.get_or_insert(0);
                Wasi::new(options).and_then(Wasi::deterministic).map_err(wasi_error)
            }
            WasiSetup::New(options) => Wasi::new(options).map_err(wasi_error),
            WasiSetup::Later => Err(Error::internal("a new guest's WASI is to come later")),
            WasiSetup::Restore(_) => Err(Error::Unsupported {
                what: "`HostBuilder::wasi_restore` is for tasklets that are loaded: use `wasi`"
                    .into(),
            }),
        }
    }
}

/// The state of a guest whose snapshot holds this.
pub(crate) fn resume_wasi(
    setup: Option<WasiSetup>,
    host: &[(String, HostValue)],
    deterministic: bool,
) -> Result<Option<Wasi>, Error> {
    let known = [NAMESPACE, sched::NAMESPACE, super::IMPORT_NAMESPACE];
    if let Some((name, _)) = host.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(Error::incompatible(format!("nothing here knows the host state `{name}`")));
    }
    let own = host.iter().find(|(name, _)| name == NAMESPACE);
    let Some((_, value)) = own else { return Ok(None) };
    let options = match setup {
        Some(WasiSetup::Restore(options)) => options,
        Some(WasiSetup::Later) => {
            return Wasi::new(WasiOptions::default()).map(Some).map_err(wasi_error);
        }
        // Enough for a guest without directories, whose output then goes nowhere.
        None => RestoreOptions::default(),
        Some(WasiSetup::New(_)) => {
            return Err(Error::Unsupported {
                what: "`HostBuilder::wasi` is for tasklets that are spawned: use `wasi_restore`"
                    .into(),
            });
        }
    };
    let state: WasiState = value
        .deserialized()
        .map_err(|error| Error::snapshot(format!("the state of `{NAMESPACE}`: {error}")))?;
    let restored = match deterministic {
        true => Wasi::restore_deterministic(state, options),
        false => Wasi::restore(state, options),
    };
    restored.map(Some).map_err(wasi_error)
}

fn wasi_error(error: WasiError) -> Error {
    Error::Wasi(Box::new(error))
}

/// The import of that name.
pub(super) fn link(store: &mut Store<State>, name: &str, ty: &FuncType) -> Result<Func, Error> {
    let unknown = |way_out: &str| Error::UnknownImport {
        module: NAMESPACE.to_string(),
        name: name.to_string(),
        ty: ty.to_string(),
        way_out: way_out.to_string(),
    };
    let Some(function) = Function::by_name(name) else {
        return Err(unknown("WASI preview 1 has no such function"));
    };
    check_type(NAMESPACE, name, ty, &function_type(function))?;
    if store.data().wasi.is_none() {
        return Err(unknown("provide WASI with `HostBuilder::wasi`"));
    }
    Ok(Func::new(store, ty.clone(), implementation(function)))
}

/// The import of that name and type for all stores of an engine; none if there is no such import.
pub(super) fn define(linker: &mut Linker<State>, name: &str, ty: &FuncType) -> Option<()> {
    let function = Function::by_name(name)?;
    check_type(NAMESPACE, name, ty, &function_type(function)).ok()?;
    linker.func_new(NAMESPACE, name, ty.clone(), implementation(function)).ok().map(drop)
}

fn implementation(
    function: Function,
) -> impl Fn(Caller<'_, State>, &[Val], &mut [Val]) -> wasmtime::Result<()> + Send + Sync + 'static
{
    move |mut caller: Caller<'_, State>, params: &[Val], results: &mut [Val]| {
        let mut args = [0; 16];
        for (arg, value) in args.iter_mut().zip(params) {
            *arg = match value {
                Val::I32(value) => u64::from(*value as u32),
                Val::I64(value) => *value as u64,
                _ => 0,
            };
        }
        let errno = issue(&mut caller, function, &args[..params.len()])?;
        if let Some(result) = results.first_mut() {
            *result = Val::I32(i32::from(errno));
        }
        Ok(())
    }
}

fn function_type(function: Function) -> FunctionType {
    let types = |types: &[Abi]| -> Vec<ValType> {
        let ty = |ty: &Abi| match ty {
            Abi::I32 => ValType::I32,
            Abi::I64 => ValType::I64,
        };
        types.iter().map(ty).collect()
    };
    FunctionType { params: types(function.params()), results: types(function.results()) }
}

/// Issues one call; the error number, which does not matter if the guest is made to unwind.
fn issue(
    caller: &mut Caller<'_, State>,
    function: Function,
    args: &[u64],
) -> wasmtime::Result<u16> {
    let steps = caller.charged_so_far();
    let guest = caller.exports().guest;
    loop {
        let mut context = caller.as_context_mut();
        let (memory, state) = match guest {
            Some(memory) => memory.data_and_store_mut(&mut context),
            None => (&mut [][..], context.data_mut()),
        };
        let suspendable = state.depth == 0;
        let Some(wasi) = &mut state.wasi else {
            return Err(Error::internal("WASI is linked but not there").into());
        };
        match wasi.call(function, args, memory, steps) {
            Outcome::Return(errno) => return Ok(errno.code()),
            Outcome::Exit(code) if suspendable => pause(caller, PauseReason::Exit(code))?,
            Outcome::Exit(code) => return Err(Ended::Exit(code).into()),
            Outcome::Trap(why) => {
                let import = format!("{NAMESPACE}.{}", function.name());
                return Err(Ended::Host { import, message: why.into() }.into());
            }
            Outcome::HostFailed(what) if suspendable => {
                pause(caller, PauseReason::HostFailed(what))?;
            }
            Outcome::HostFailed(what) => return Err(Ended::HostFailed { what }.into()),
            Outcome::Wait(wait) if suspendable => pause(caller, PauseReason::Wait(wait))?,
            Outcome::Wait(wait) => {
                // An interrupt cannot be answered before the callback has returned.
                wasi.block_on(&wait, &|| false);
                continue;
            }
        }
        return Ok(0);
    }
}

/// Makes the guest unwind once this import has returned.
pub(super) fn pause(caller: &mut Caller<'_, State>, reason: PauseReason) -> Result<(), Error> {
    let fuel = caller.read_fuel();
    caller.data_mut().pause = Some(Pause { reason, fuel });
    caller.write_fuel(abi::UNWIND)
}
