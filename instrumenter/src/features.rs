//! Which features of wasm this version carries over a pause, and the refusals of all others.

use wasmparser::{
    AbstractHeapType, BlockType, CompositeInnerType, HeapType, MemoryType, Operator, TableType,
    WasmFeatures,
};

use crate::error::{Error, ErrorKind};

/// What the validator accepts: everything that could be told apart from plain invalid bytes, so
/// that a refusal can name the feature instead of calling the module invalid.
pub(crate) fn recognised() -> WasmFeatures {
    WasmFeatures::all()
        - WasmFeatures::COMPONENT_MODEL
        - WasmFeatures::SHARED_EVERYTHING_THREADS
        - WasmFeatures::CUSTOM_DESCRIPTORS
}

macro_rules! proposal_of {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        /// The proposal an instruction came with.
        #[allow(unreachable_patterns, reason = "the operator enum is non-exhaustive")]
        fn proposal(op: &Operator<'_>) -> &'static str {
            match op {
                $(Operator::$op { .. } => stringify!($proposal),)*
                _ => "unknown instruction",
            }
        }
    };
}
wasmparser::for_each_operator!(proposal_of);

/// A refusal: the feature and the way out.
pub(crate) fn refuse(feature: &str, way_out: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{feature} ({way_out})"))
}

/// Refuses an instruction of a feature that is not carried.
pub(crate) fn check_operator(op: &Operator<'_>) -> Result<(), Error> {
    const COMPILE_WITHOUT: &str = "compile the program without it";
    let feature = match proposal(op) {
        "mvp"
        | "sign_extension"
        | "saturating_float_to_int"
        | "bulk_memory"
        | "simd"
        | "relaxed_simd"
        | "reference_types"
        | "function_references"
        | "tail_call"
        | "exceptions"
        | "wide_arithmetic"
        // Only of memories that are not shared, see `rewrite/function/atomics.rs`.
        | "threads" => {
            return check_types(op);
        }
        "legacy_exceptions" => {
            return Err(refuse(
                "legacy exception handling",
                "translate it with `wasm-opt --translate-to-exnref`",
            ));
        }
        "shared_everything_threads" => "threads",
        "gc" => "garbage-collected types",
        "stack_switching" => "stack switching",
        other => other,
    };
    Err(refuse(feature, COMPILE_WITHOUT))
}

/// Whether an instruction is one of the threads proposal.
pub(crate) fn is_atomic(op: &Operator<'_>) -> bool {
    proposal(op) == "threads"
}

fn check_types(op: &Operator<'_>) -> Result<(), Error> {
    match op {
        Operator::Block { blockty: BlockType::Type(ty) }
        | Operator::Loop { blockty: BlockType::Type(ty) }
        | Operator::If { blockty: BlockType::Type(ty) }
        | Operator::TypedSelect { ty } => check_value_type(*ty),
        Operator::RefNull { hty } => check_heap_type(*hty),
        _ => Ok(()),
    }
}

/// Refuses references into the garbage-collected heap, and shared ones.
pub(crate) fn check_value_type(ty: wasmparser::ValType) -> Result<(), Error> {
    match ty {
        wasmparser::ValType::Ref(ty) => check_heap_type(ty.heap_type()),
        _ => Ok(()),
    }
}

fn check_heap_type(ty: HeapType) -> Result<(), Error> {
    use AbstractHeapType::{Exn, Extern, Func, NoExn, NoExtern, NoFunc};
    match ty {
        HeapType::Abstract { shared: true, .. } => {
            Err(refuse("shared references (threads)", "compile the program without threads"))
        }
        HeapType::Abstract { ty: Func | NoFunc | Extern | NoExtern | Exn | NoExn, .. }
        | HeapType::Concrete(_) => Ok(()),
        HeapType::Exact(_) => Err(refuse("exact types", "compile the program without them")),
        HeapType::Abstract { .. } => {
            Err(refuse("garbage-collected types", "compile the program without them"))
        }
    }
}

/// Refuses a type other than a plain function type.
pub(crate) fn check_type(ty: &wasmparser::SubType) -> Result<&wasmparser::FuncType, Error> {
    if matches!(ty.composite_type.inner, CompositeInnerType::Cont(_)) {
        return Err(refuse("stack switching", "compile the program without it"));
    }
    if ty.composite_type.shared {
        return Err(refuse("shared types (threads)", "compile the program without threads"));
    }
    let plain = ty.supertype_idx.is_none() && ty.is_final;
    match &ty.composite_type.inner {
        CompositeInnerType::Func(func) if plain => Ok(func),
        _ => Err(refuse("garbage-collected types", "compile the program without them")),
    }
}

/// Refuses memories that are shared or of another page size.
pub(crate) fn check_memory(ty: &MemoryType) -> Result<(), Error> {
    if ty.shared {
        return Err(refuse("shared memories (threads)", "compile the program without threads"));
    }
    if ty.page_size_log2.is_some() {
        return Err(refuse("custom page sizes", "use the default page size of 64 KiB"));
    }
    Ok(())
}

/// Refuses tables that are shared.
pub(crate) fn check_table(ty: &TableType) -> Result<(), Error> {
    if ty.shared {
        return Err(refuse("shared tables (threads)", "compile the program without threads"));
    }
    Ok(())
}
