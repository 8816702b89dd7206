//! The imports of the module `tasklet`, by which a guest takes part in its scheduler.

use tasklet_instrumenter::{FunctionType, ValType};
use wasmtime::{AsContextMut, Caller, Func, FuncType, Linker, Store};

use super::common::Provided;
use super::link::check_type;
use super::wasi_glue::pause;
use crate::error::Error;
use crate::sched::seat::{Called, Function, SeatState, Type};
use crate::sched::{NAMESPACE, Seat};
use crate::snapshot::HostValue;
use crate::state::{Context, PauseReason, State};
use crate::trap::Ended;

/// Parameters that an import has at most.
const ARGS_MAX: usize = 4;

/// The import of that name.
pub(super) fn link(store: &mut Store<State>, name: &str, ty: &FuncType) -> Result<Func, Error> {
    let unknown = |way_out: &str| Error::UnknownImport {
        module: NAMESPACE.to_string(),
        name: name.to_string(),
        ty: ty.to_string(),
        way_out: way_out.to_string(),
    };
    let Some(function) = Function::by_name(name) else {
        return Err(unknown("docs/scheduler.md lists what schedulers provide"));
    };
    check_type(NAMESPACE, name, ty, &function_type(function))?;
    let Some(seat) = &mut store.data_mut().seat else {
        return Err(unknown("it is for tasklets of a `Scheduler`: use `Scheduler::spawn`"));
    };
    seat.linked = true;
    Ok(typed(store, function))
}

/// The import of that name and type for all stores of an engine; none if there is no such import.
pub(super) fn define(linker: &mut Linker<State>, name: &str, ty: &FuncType) -> Option<()> {
    let function = Function::by_name(name)?;
    check_type(NAMESPACE, name, ty, &function_type(function)).ok()?;
    typed((linker, NAMESPACE, name), function).ok().map(drop)
}

/// The import as a function of its own type: that costs half of what one of any type does.
fn typed<P: Provided>(to: P, function: Function) -> P::Provided {
    macro_rules! function {
        ($result:ty, $($arg:ident $ty:ty),*) => {
            to.provide(
                move |mut caller: Caller<'_, State>, $($arg: $ty),*| -> wasmtime::Result<$result> {
                    let mut args = [0; ARGS_MAX];
                    for (slot, arg) in args.iter_mut().zip([$($arg as u64),*] as [u64; _]) {
                        *slot = arg;
                    }
                    Ok(issue(&mut caller, function, &args)? as $result)
                },
            )
        };
    }
    if function.is_last_wide() {
        return match (function.params(), function.result()) {
            (1, Type::I32) => function!(i32, a i64),
            (1, Type::I64) => function!(i64, a i64),
            (_, Type::I32) => function!(i32, a i32, b i32, c i32, d i64),
            (_, Type::I64) => function!(i64, a i32, b i32, c i32, d i64),
        };
    }
    match (function.params(), function.result()) {
        (0, Type::I32) => function!(i32,),
        (1, Type::I32) => function!(i32, a i32),
        (2, Type::I32) => function!(i32, a i32, b i32),
        (3, Type::I32) => function!(i32, a i32, b i32, c i32),
        (_, Type::I32) => function!(i32, a i32, b i32, c i32, d i32),
        (0, Type::I64) => function!(i64,),
        (1, Type::I64) => function!(i64, a i32),
        (2, Type::I64) => function!(i64, a i32, b i32),
        (3, Type::I64) => function!(i64, a i32, b i32, c i32),
        (_, Type::I64) => function!(i64, a i32, b i32, c i32, d i32),
    }
}

fn function_type(function: Function) -> FunctionType {
    let result = match function.result() {
        Type::I32 => ValType::I32,
        Type::I64 => ValType::I64,
    };
    let mut params = vec![ValType::I32; function.params()];
    if let Some(last) = params.last_mut().filter(|_| function.is_last_wide()) {
        *last = ValType::I64;
    }
    FunctionType { params, results: vec![result] }
}

/// Issues one call; what it returns does not matter if the guest is made to unwind.
fn issue(
    caller: &mut Caller<'_, State>,
    function: Function,
    args: &[u64],
) -> wasmtime::Result<i64> {
    if function == Function::StepsLeft {
        return Ok(caller.steps_left());
    }
    // Those with fewer parameters pass no bytes.
    let has_bytes = function.params() > 1;
    let guest = caller.with_exports(|exports| exports.guest.filter(|_| has_bytes));
    let mut context = caller.as_context_mut();
    let (memory, state) = match guest {
        Some(memory) => memory.data_and_store_mut(&mut context),
        None => (&mut [][..], context.data_mut()),
    };
    let can_unwind = state.depth == 0;
    let Some(seat) = &mut state.seat else {
        return Err(Error::internal("a seat is linked but not there").into());
    };
    match seat.call(function, args, memory, can_unwind) {
        Ok(Called::Returns(value)) => Ok(value),
        Ok(Called::Asks) => {
            pause(caller, PauseReason::Ask)?;
            Ok(0)
        }
        Err(error) => {
            let import = format!("{NAMESPACE}::{}", function.name());
            Err(Ended::Host { import, message: error.to_string() }.into())
        }
    }
}

/// The seat of a tasklet whose snapshot holds this; `fresh` is what a scheduler gives it.
pub(crate) fn resume_seat(
    fresh: Option<Seat>,
    host: &[(String, HostValue)],
) -> Result<Option<Seat>, Error> {
    let Some((_, value)) = host.iter().find(|(name, _)| name == NAMESPACE) else {
        return Ok(fresh);
    };
    if fresh.is_none() {
        let what = "it takes part in a scheduler: load it with `Scheduler::load`";
        return Err(Error::incompatible(what));
    }
    let refused = |what: &dyn std::fmt::Display| {
        Error::snapshot(format!("the state of `{NAMESPACE}`: {what}"))
    };
    let state: SeatState = value.deserialized().map_err(|error| refused(&error))?;
    Seat::restore(state).map(Some).map_err(|what| refused(&what))
}
