//! Gives a module what it imports, or says why it cannot have it.

use std::sync::Arc;

use tasklet_instrumenter::{FunctionType, ValType};
use wasmtime::{
    AsContextMut, Caller, Extern, ExternType, Func, FuncType, Global, HeapType, Store, Val,
};

use super::{HostCtx, HostFunction, seat_glue, wasi_glue};
use crate::error::Error;
use crate::module::Module;
use crate::sched;
use crate::state::State;
use crate::trap::Ended;
use crate::value::{self, Exception, Value};

/// The imports of a module in its order, of which the globals have been made.
pub(crate) fn link(
    store: &mut Store<State>,
    module: &Module,
    functions: &std::collections::HashMap<(String, String), HostFunction>,
    globals: &[Global],
) -> Result<Vec<Extern>, Error> {
    let mut externs = Vec::new();
    let mut globals = globals.iter().copied();
    // Counts functions alone, as the metadata's list of them does.
    let mut number = 0;
    for import in module.compiled().imports() {
        let (from, name) = (import.module(), import.name());
        let ty = match import.ty() {
            ExternType::Func(ty) => ty,
            ExternType::Global(_) => {
                let global = globals.next();
                let global = global.ok_or_else(|| Error::internal("an unknown global import"))?;
                externs.push(global.into());
                continue;
            }
            _ => return Err(Error::internal(format!("`{from}::{name}` is still an import"))),
        };
        let function = match functions.get(&(from.to_string(), name.to_string())) {
            Some(function) => immediate(store, number, (from, name), &ty, function)?,
            None if from == wasi_glue::NAMESPACE => wasi_glue::link(store, name, &ty)?,
            None if from == sched::NAMESPACE => seat_glue::link(store, name, &ty)?,
            None => {
                return Err(Error::UnknownImport {
                    module: from.to_string(),
                    name: name.to_string(),
                    ty: ty.to_string(),
                    way_out:
                        "a program that embeds the engine provides it with `HostBuilder::func`"
                            .to_string(),
                });
            }
        };
        externs.push(function.into());
        number += 1;
    }
    Ok(externs)
}

/// Checks that an import has the type the host's function has.
pub(super) fn check_type(
    module: &str,
    name: &str,
    wanted: &FuncType,
    provided: &FunctionType,
) -> Result<(), Error> {
    let params = wanted.params().map(|ty| value_type(&ty));
    let results = wanted.results().map(|ty| value_type(&ty));
    let same = params.eq(provided.params.iter().copied().map(Some))
        && results.eq(provided.results.iter().copied().map(Some));
    if same {
        return Ok(());
    }
    Err(Error::ImportType {
        module: module.to_string(),
        name: name.to_string(),
        wanted: wanted.to_string(),
        provided: format!(
            "({}) -> ({})",
            value::list(provided.params.iter().copied()),
            value::list(provided.results.iter().copied())
        ),
    })
}

fn value_type(ty: &wasmtime::ValType) -> Option<ValType> {
    Some(match ty {
        wasmtime::ValType::I32 => ValType::I32,
        wasmtime::ValType::I64 => ValType::I64,
        wasmtime::ValType::F32 => ValType::F32,
        wasmtime::ValType::F64 => ValType::F64,
        wasmtime::ValType::V128 => ValType::V128,
        wasmtime::ValType::Ref(ty) => match ty.heap_type().top() {
            HeapType::Func => ValType::FuncRef,
            HeapType::Extern => ValType::ExternRef,
            HeapType::Exn => ValType::ExnRef,
            HeapType::Any => ValType::AnyRef,
            _ => return None,
        },
    })
}

/// Throws an exception into the guest. The fuel is in the global already, where it has to be.
fn throw(store: &mut Caller<'_, State>, exception: &Exception) -> wasmtime::Error {
    match exception.rooted(store) {
        Ok(rooted) => match store.as_context_mut().throw::<()>(rooted) {
            Ok(()) => Error::internal("throwing did nothing").into(),
            Err(error) => error,
        },
        Err(error) => error.into(),
    }
}

/// An import of the embedder's own.
fn immediate(
    store: &mut Store<State>,
    number: u32,
    (module, name): (&str, &str),
    ty: &FuncType,
    function: &HostFunction,
) -> Result<Func, Error> {
    check_type(module, name, ty, &function.ty)?;
    let import = format!("{module}::{name}");
    let HostFunction { ty: provided, call } = function.clone();
    let call = move |caller: Caller<'_, State>, params: &[Val], results: &mut [Val]| {
        let shared = Arc::clone(&caller.data().shared);
        let mut ctx = HostCtx::new(caller, &import);
        let args = params
            .iter()
            .map(|value| value::from_wasm(ctx.store(), value))
            .collect::<Result<Vec<_>, _>>()?;
        let outer = shared.enter(number);
        let returned = call(&mut ctx, &args);
        shared.leave(outer);
        if let Some(ended) = ctx.take_ended() {
            return Err(ended);
        }
        let host = |message: String| Ended::Host { import: import.clone(), message };
        let returned = match returned {
            Ok(returned) => returned,
            Err(error) => {
                return Err(match error.exception() {
                    Some(exception) => throw(ctx.store(), exception),
                    None => host(error.to_string()).into(),
                });
            }
        };
        if !value::have_types(&returned, &provided.results) {
            let found = value::list(returned.iter().map(Value::ty));
            let expected = value::list(provided.results.iter().copied());
            return Err(host(format!("returned ({found}) instead of ({expected})")).into());
        }
        for (slot, value) in results.iter_mut().zip(&returned) {
            *slot = value::to_wasm(ctx.store(), value)?;
        }
        Ok(())
    };
    Ok(Func::new(store, ty.clone(), call))
}
