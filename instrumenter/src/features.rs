//! Which features of wasm this version carries over a pause, and the refusals of all others.

use wasmparser::{
    BlockType, CompositeInnerType, HeapType, MemoryType, Operator, RefType, TableType, TypeRef,
    WasmFeatures,
};

use crate::error::{Error, ErrorKind};
use crate::metadata::ValType;

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
        "mvp" | "sign_extension" | "saturating_float_to_int" | "bulk_memory" | "simd" => {
            return check_block_type(op);
        }
        "reference_types" => return check_reference_operator(op),
        "legacy_exceptions" => {
            return Err(refuse(
                "legacy exception handling",
                "translate it with `wasm-opt --translate-to-exnref`, then without exceptions",
            ));
        }
        "exceptions" => "exception handling",
        "tail_call" => "tail calls",
        "threads" | "shared_everything_threads" => "threads",
        "gc" => "garbage-collected types",
        "function_references" => "typed function references",
        "relaxed_simd" => "relaxed SIMD",
        "stack_switching" => "stack switching",
        "wide_arithmetic" => "wide arithmetic",
        other => other,
    };
    Err(refuse(feature, COMPILE_WITHOUT))
}

fn check_block_type(op: &Operator<'_>) -> Result<(), Error> {
    match op {
        Operator::Block { blockty: BlockType::Type(ty) }
        | Operator::Loop { blockty: BlockType::Type(ty) }
        | Operator::If { blockty: BlockType::Type(ty) } => value_type(*ty).map(|_| ()),
        _ => Ok(()),
    }
}

fn check_reference_operator(op: &Operator<'_>) -> Result<(), Error> {
    match op {
        Operator::RefNull { hty } => check_heap_type(*hty),
        Operator::TypedSelect { ty } => value_type(*ty).map(|_| ()),
        _ => Ok(()),
    }
}

fn check_heap_type(ty: HeapType) -> Result<(), Error> {
    if ty == HeapType::FUNC {
        return Ok(());
    }
    Err(refuse("references other than `funcref`", "compile the program without them"))
}

/// The value type in our terms, or a refusal.
pub(crate) fn value_type(ty: wasmparser::ValType) -> Result<ValType, Error> {
    Ok(match ty {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 => ValType::V128,
        // `ref.func` gives a non-null reference; a nullable one holds it just as well.
        wasmparser::ValType::Ref(ty) => return check_reference(ty),
    })
}

/// The type of an operand: as [`value_type`], but the typed references that `ref.func` pushes are
/// taken for the `funcref` they are used as.
pub(crate) fn operand_type(ty: wasmparser::ValType) -> Result<ValType, Error> {
    match ty {
        wasmparser::ValType::Ref(_) => Ok(ValType::FuncRef),
        other => value_type(other),
    }
}

fn check_reference(ty: RefType) -> Result<ValType, Error> {
    if ty == RefType::FUNCREF {
        return Ok(ValType::FuncRef);
    }
    let feature = if ty == RefType::EXTERNREF {
        "host references (`externref`)"
    } else if ty.is_concrete_type_ref() {
        "typed references"
    } else {
        "references other than `funcref`"
    };
    Err(refuse(feature, "compile the program without them"))
}

/// Refuses recursion groups of several types: their types are equal only as a group, while the
/// types here are told apart by their structure.
pub(crate) fn check_group(group: &wasmparser::RecGroup) -> Result<(), Error> {
    if group.types().len() > 1 {
        return Err(refuse("recursion groups of types", "compile the program without them"));
    }
    Ok(())
}

/// Refuses a composite type other than a plain function type.
pub(crate) fn check_type(ty: &wasmparser::SubType) -> Result<(), Error> {
    if matches!(ty.composite_type.inner, CompositeInnerType::Cont(_)) {
        return Err(refuse("stack switching", "compile the program without it"));
    }
    if !matches!(ty.composite_type.inner, CompositeInnerType::Func(_))
        || ty.supertype_idx.is_some()
        || !ty.is_final
    {
        return Err(refuse("garbage-collected types", "compile the program without them"));
    }
    Ok(())
}

/// Refuses memories that are 64-bit, shared or of another page size.
pub(crate) fn check_memory(ty: &MemoryType) -> Result<(), Error> {
    if ty.memory64 {
        return Err(refuse("64-bit memories", "compile the program for wasm32"));
    }
    if ty.shared {
        return Err(refuse("shared memories (threads)", "compile the program without threads"));
    }
    if ty.page_size_log2.is_some() {
        return Err(refuse("custom page sizes", "use the default page size of 64 KiB"));
    }
    Ok(())
}

/// Refuses tables that are 64-bit, shared, or of another type than `funcref`.
pub(crate) fn check_table(ty: &TableType) -> Result<(), Error> {
    if ty.table64 {
        return Err(refuse("64-bit tables", "compile the program for wasm32"));
    }
    if ty.shared {
        return Err(refuse("shared tables (threads)", "compile the program without threads"));
    }
    check_reference(ty.element_type).map(|_| ())
}

/// Refuses imports other than functions.
pub(crate) fn check_import(ty: &TypeRef) -> Result<(), Error> {
    let what = match ty {
        TypeRef::Func(_) => return Ok(()),
        TypeRef::Table(_) => "imported tables",
        TypeRef::Memory(_) => "imported memories",
        TypeRef::Global(_) => "imported globals",
        TypeRef::Tag(_) => "exception handling",
        _ => "imports of this kind",
    };
    Err(refuse(what, "a tasklet owns all its state: define it in the module and export it"))
}
