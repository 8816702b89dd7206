//! Gives a module what it imports, or says why it cannot have it.

use tasklet_instrumenter::{FunctionType, ValType};
use wasmtime::{Extern, ExternType, FuncType, Global, HeapType, Store};

use super::{HostFunction, calls, seat_glue, wasi_glue};
use crate::error::Error;
use crate::module::Module;
use crate::sched;
use crate::state::State;
use crate::value;

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
            Some(function) => calls::link(store, number, (from, name), &ty, function)?,
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
