//! What a module of a script can import.
//!
//! A tasklet owns all its state. So functions of other instances can be imported (the import runs
//! the other tasklet to its end), and values of immutable globals; memories, tables, mutable
//! globals and tags that belong to another instance cannot, and are never replaced by private
//! copies: what imports them is skipped, with that reason, and so is what is asked of the exporter
//! from then on.

use std::sync::MutexGuard;

use tasklet_engine::{FunctionType, ValType, Value};
use wasmparser::{Import, TypeRef};

use super::living::{Given, Living, Shared};
use super::plain::{MEMORY_PAGES, TABLE_ELEMENTS, Verdict as Plainly};

/// An instance by a name of the script, or why there is none.
pub type Slot = Result<Shared, String>;

/// The reason of what imports memories or tables of `spectest` that it cannot have for its own.
pub const SPECTEST_SHARED: &str = "memories or tables of `spectest` shared by instances";

/// What `spectest` gives. A memory or table of it can be an instance's own if nobody has left a
/// mark in it and nobody else imports it as long as the instance is used.
pub fn from_spectest(
    import: &Import<'_>,
    shares: bool,
    plain: &Plainly,
) -> Result<Option<Given>, String> {
    use ValType::{F32, F64, I32, I64};
    let size = match import.ty {
        TypeRef::Memory(ty) => Some((ty.initial, MEMORY_PAGES)),
        TypeRef::Table(ty) => Some((ty.initial, TABLE_ELEMENTS)),
        _ => None,
    };
    match size {
        Some(_) if !["memory", "table", "table64"].contains(&import.name) => return Ok(None),
        Some(_) if plain.used.contains(&import.name) => return Err(SPECTEST_SHARED.into()),
        Some((declared, there)) if declared != there || !shares => {
            return Err("limits of `spectest`'s memory and tables".into());
        }
        Some(_) => return Ok(Some(Given::Own)),
        None => {}
    }
    let params = match import.name {
        "print" => &[][..],
        "print_i32" => &[I32],
        "print_i64" => &[I64],
        "print_f32" => &[F32],
        "print_f64" => &[F64],
        "print_i32_f32" => &[I32, F32],
        "print_f64_f64" => &[F64, F64],
        "global_i32" => return Ok(Some(Given::Global(Value::I32(666)))),
        "global_i64" => return Ok(Some(Given::Global(Value::I64(666)))),
        "global_f32" => return Ok(Some(Given::Global(Value::F32(666.6f32.to_bits())))),
        "global_f64" => return Ok(Some(Given::Global(Value::F64(666.6f64.to_bits())))),
        _ => return Ok(None),
    };
    Ok(Some(Given::Print(FunctionType { params: params.to_vec(), results: Vec::new() })))
}

/// What another instance gives, if it can.
pub fn from_instance(
    slot: &Slot,
    import: &Import<'_>,
    shares: bool,
) -> Result<Option<Given>, String> {
    let what = match &import.ty {
        TypeRef::Memory(_) => "memories",
        TypeRef::Table(_) => "tables",
        TypeRef::Tag(_) => "tags",
        TypeRef::Global(ty) if ty.mutable => "mutable globals",
        TypeRef::Global(_) => {
            let found = lock(slot.as_ref().map_err(String::clone)?)?.global(import.name);
            return found.map(|value| value.map(Given::Global)).map_err(|e| format!("{e:#}"));
        }
        TypeRef::Func(_) | TypeRef::FuncExact(_) => {
            let living = slot.clone()?;
            let found = living.lock().expect("nobody panics with it").export(import.name);
            return Ok(found.map(|ty| Given::Export(ty, living, import.name.to_string())));
        }
    };
    // What is imported there is no longer the exporter's alone.
    let reason = format!("{what} shared between instances");
    let living = slot.clone()?;
    if shares {
        living.lock().expect("nobody panics with it").lose(&reason);
    }
    Err(reason)
}

/// The instance, unless its state is no longer what it is in plain wasmtime.
pub fn lock(living: &Shared) -> Result<MutexGuard<'_, Living>, String> {
    let living = living.lock().expect("nobody panics with it");
    match living.lost() {
        Some(reason) => Err(reason.clone()),
        None => Ok(living),
    }
}
