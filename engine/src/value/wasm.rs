//! Values in and out of a store.

use std::collections::HashMap;

use tasklet_instrumenter::ValType;
use wasmtime::{ExternRef, HeapType, Ref, Val};

use super::{Exception, HostObject, Value};
use crate::error::Error;
use crate::state::Context;

/// Which original function a function reference of one store is.
#[derive(Debug, Default)]
pub(crate) struct FunctionMap {
    by_address: HashMap<usize, u32>,
}

impl FunctionMap {
    /// Reads a table that lists the functions with these original indices.
    pub(crate) fn read<T: 'static>(
        mut store: impl wasmtime::AsContextMut<Data = T>,
        table: wasmtime::Table,
        indices: &[u32],
    ) -> FunctionMap {
        let mut by_address = HashMap::with_capacity(indices.len());
        for (element, &index) in (0u64..).zip(indices) {
            if let Some(Ref::Func(Some(function))) = table.get(&mut store, element) {
                by_address.insert(function.to_raw(&mut store) as usize, index);
            }
        }
        FunctionMap { by_address }
    }

    /// The original index of a reference that is or is not null.
    pub(crate) fn index(
        &self,
        store: impl wasmtime::AsContextMut,
        function: Option<wasmtime::Func>,
    ) -> Result<Option<u32>, Error> {
        let Some(function) = function else { return Ok(None) };
        let address = function.to_raw(store) as usize;
        match self.by_address.get(&address) {
            Some(&index) => Ok(Some(index)),
            None => Err(Error::Unsupported {
                what: "a reference to a function that is not the module's own".into(),
            }),
        }
    }
}

/// Translates a value out of the store.
pub(crate) fn from_wasm(store: &mut impl Context, value: &Val) -> Result<Value, Error> {
    Ok(match value {
        Val::I32(value) => Value::I32(*value),
        Val::I64(value) => Value::I64(*value),
        Val::F32(bits) => Value::F32(*bits),
        Val::F64(bits) => Value::F64(*bits),
        Val::V128(value) => Value::V128(value.as_u128()),
        Val::FuncRef(function) => {
            let map = store.function_map();
            Value::FuncRef(map.index(store.as_context_mut(), *function)?)
        }
        Val::ExternRef(None) => Value::ExternRef(None),
        Val::ExternRef(Some(reference)) => {
            let data = reference.data(store.as_context()).map_err(Error::internal)?;
            let object = data.and_then(|data| data.downcast_ref::<HostObject>());
            let object = object.ok_or_else(|| Error::internal("an object that was never given"))?;
            Value::ExternRef(Some(object.clone()))
        }
        Val::ExnRef(None) => Value::ExnRef(None),
        Val::ExnRef(Some(reference)) => Value::ExnRef(Some(Exception::new(store, *reference)?)),
        other => {
            return Err(Error::Unsupported {
                what: format!("a value of type {:?}", other.ty(store.as_context())),
            });
        }
    })
}

/// Translates a value into the store. Fails if it is a function that the module never takes the
/// address of, or an exception of another tasklet.
pub(crate) fn to_wasm(store: &mut impl Context, value: &Value) -> Result<Val, Error> {
    Ok(match value {
        Value::I32(value) => Val::I32(*value),
        Value::I64(value) => Val::I64(*value),
        Value::F32(bits) => Val::F32(*bits),
        Value::F64(bits) => Val::F64(*bits),
        Value::V128(bits) => Val::V128((*bits).into()),
        Value::FuncRef(None) => Val::FuncRef(None),
        Value::FuncRef(Some(index)) => Val::FuncRef(Some(store.function(*index)?)),
        Value::ExternRef(None) => Val::ExternRef(None),
        Value::ExternRef(Some(object)) => {
            let reference = ExternRef::new(store.as_context_mut(), object.clone());
            Val::ExternRef(Some(reference.map_err(heap_full)?))
        }
        Value::ExnRef(None) => Val::ExnRef(None),
        Value::ExnRef(Some(exception)) => Val::ExnRef(Some(exception.rooted(store)?)),
        Value::AnyRef => Val::AnyRef(None),
    })
}

/// What the failure to make an object of the collected heap is.
pub(crate) fn heap_full(error: wasmtime::Error) -> Error {
    Error::limit(format!("the heap of references: {error}"))
}

/// The null of a kind of references, as tables are grown with; `None` for other types.
pub(crate) fn null_of(ty: ValType) -> Option<Ref> {
    let heap = match ty {
        ValType::FuncRef => HeapType::Func,
        ValType::ExternRef => HeapType::Extern,
        ValType::ExnRef => HeapType::Exn,
        ValType::AnyRef => HeapType::Any,
        ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64 | ValType::V128 => return None,
    };
    Some(Ref::null(&heap))
}

/// A value as what a table holds.
pub(crate) fn reference_of(value: Val) -> Result<Ref, Error> {
    value.ref_().ok_or_else(|| Error::internal("a reference field without a reference"))
}
