//! Value types as the rewriting needs them: the exact wasm type, always nullable.
//!
//! A function that unwinds returns a zero of each result, and a frame is rebuilt from locals that
//! begin as zeros. A non-null reference has no zero, so all reference types of the instrumented
//! module are nullable: of its types, locals, globals, tables and tags. Nothing can be told from
//! that: whatever consumes a reference takes a nullable one too (trapping on a null that is never
//! there), and a test or a cast still names the type that it did.

use std::collections::HashMap;

use wasm_encoder::{AbstractHeapType, HeapType, RefType};
use wasmparser::UnpackedIndex;
use wasmparser::types::CoreTypeId;

use crate::metadata::{FunctionType, ValType};

/// A wasm value type; references are nullable.
pub(crate) type WasmType = wasm_encoder::ValType;

/// A nullable reference to any function.
pub(crate) const FUNCREF: WasmType = WasmType::Ref(RefType::FUNCREF);
/// A nullable exception reference.
pub(crate) const EXNREF: WasmType = WasmType::Ref(RefType::EXNREF);

/// A function type of the original module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Signature {
    /// Parameter types.
    pub params: Vec<WasmType>,
    /// Result types.
    pub results: Vec<WasmType>,
}

impl Signature {
    /// The type with the fuel behind its parameters and results.
    pub fn threaded(&self) -> Signature {
        let with_fuel = |types: &[WasmType]| types.iter().copied().chain([WasmType::I64]).collect();
        Signature { params: with_fuel(&self.params), results: with_fuel(&self.results) }
    }

    /// The type in the metadata's terms.
    pub fn kinds(&self) -> FunctionType {
        let kinds = |types: &[WasmType]| types.iter().copied().map(kind).collect();
        FunctionType { params: kinds(&self.params), results: kinds(&self.results) }
    }
}

/// What a value is to the engine.
pub(crate) fn kind(ty: WasmType) -> ValType {
    use AbstractHeapType::{Exn, Extern, Func, NoExn, NoExtern, NoFunc};
    match ty {
        WasmType::I32 => ValType::I32,
        WasmType::I64 => ValType::I64,
        WasmType::F32 => ValType::F32,
        WasmType::F64 => ValType::F64,
        WasmType::V128 => ValType::V128,
        WasmType::Ref(ty) => match ty.heap_type {
            // Types of the module are function types: all others are refused.
            HeapType::Concrete(_) | HeapType::Exact(_) => ValType::FuncRef,
            HeapType::Abstract { ty: Func | NoFunc, .. } => ValType::FuncRef,
            HeapType::Abstract { ty: Extern | NoExtern, .. } => ValType::ExternRef,
            HeapType::Abstract { ty: Exn | NoExn, .. } => ValType::ExnRef,
            HeapType::Abstract { .. } => ValType::AnyRef,
        },
    }
}

/// Whether it is a reference to functions of one type.
pub(crate) fn is_typed(ty: WasmType) -> bool {
    matches!(
        ty,
        WasmType::Ref(RefType { heap_type: HeapType::Concrete(_) | HeapType::Exact(_), .. })
    )
}

/// Whether a reference must be cast when it comes out of the shadow table of its kind.
pub(crate) fn needs_cast(ty: RefType) -> bool {
    use AbstractHeapType::{Exn, Extern, Func};
    !matches!(ty.heap_type, HeapType::Abstract { ty: Func | Extern | Exn, .. })
}

/// The types of a module by identity.
#[derive(Debug, Default)]
pub(crate) struct TypeIndices(HashMap<CoreTypeId, u32>);

impl TypeIndices {
    /// The smallest index of a type equal to the one with that index and identity.
    pub fn canonical(&mut self, index: u32, id: CoreTypeId) -> u32 {
        *self.0.entry(id).or_insert(index)
    }

    /// The type in our terms; `None` if it is of no type this module has.
    pub fn value(&self, ty: wasmparser::ValType) -> Option<WasmType> {
        Some(match ty {
            wasmparser::ValType::I32 => WasmType::I32,
            wasmparser::ValType::I64 => WasmType::I64,
            wasmparser::ValType::F32 => WasmType::F32,
            wasmparser::ValType::F64 => WasmType::F64,
            wasmparser::ValType::V128 => WasmType::V128,
            wasmparser::ValType::Ref(ty) => WasmType::Ref(self.reference(ty)?),
        })
    }

    fn reference(&self, ty: wasmparser::RefType) -> Option<RefType> {
        let heap_type = match ty.heap_type() {
            wasmparser::HeapType::Abstract { shared, ty } => {
                HeapType::Abstract { shared, ty: ty.into() }
            }
            wasmparser::HeapType::Concrete(index) | wasmparser::HeapType::Exact(index) => {
                HeapType::Concrete(self.index(index)?)
            }
        };
        Some(RefType { nullable: true, heap_type })
    }

    fn index(&self, index: UnpackedIndex) -> Option<u32> {
        match index {
            UnpackedIndex::Module(index) => Some(index),
            UnpackedIndex::Id(id) => self.0.get(&id).copied(),
            UnpackedIndex::RecGroup(_) => None,
        }
    }
}
