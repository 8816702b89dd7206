//! Typed values: `[type, payload]`, the type by its byte in the WebAssembly binary format.

use super::reader::Reader;
use super::writer::Writer;
use super::{Error, RefType, Value, rules};

/// The bytes by which the binary format names the types.
mod code {
    pub const I32: u8 = 0x7f;
    pub const I64: u8 = 0x7e;
    pub const F32: u8 = 0x7d;
    pub const F64: u8 = 0x7c;
    pub const V128: u8 = 0x7b;
    pub const FUNCREF: u8 = 0x70;
    pub const EXTERNREF: u8 = 0x6f;
    pub const EXNREF: u8 = 0x69;
}

pub(super) fn encode(value: Value, w: &mut Writer<'_>) -> Result<(), Error> {
    w.array(2)?;
    match value {
        Value::I32(value) => {
            w.unsigned(code::I32)?;
            w.integer(i64::from(value))
        }
        Value::I64(value) => {
            w.unsigned(code::I64)?;
            w.integer(value)
        }
        Value::F32(bits) => {
            w.unsigned(code::F32)?;
            w.unsigned(bits)
        }
        Value::F64(bits) => {
            w.unsigned(code::F64)?;
            w.unsigned(bits)
        }
        Value::V128(bits) => {
            w.unsigned(code::V128)?;
            w.bytes(&bits.to_le_bytes())
        }
        Value::FuncRef(index) => encode_reference(RefType::Func, index, w),
        Value::ExternRef(index) => encode_reference(RefType::Extern, index, w),
        Value::ExnRef(index) => encode_reference(RefType::Exn, index, w),
    }
}

fn encode_reference(ty: RefType, index: Option<u32>, w: &mut Writer<'_>) -> Result<(), Error> {
    w.unsigned(ref_code(ty))?;
    w.index_or_null(index)
}

/// The byte that names a type of references.
pub(super) fn ref_code(ty: RefType) -> u8 {
    match ty {
        RefType::Func => code::FUNCREF,
        RefType::Extern => code::EXTERNREF,
        RefType::Exn => code::EXNREF,
    }
}

/// The type of references that a byte names. Version 1 knows functions only.
pub(super) fn ref_type(version: u64, code: u64) -> Option<RefType> {
    let all = [RefType::Func, RefType::Extern, RefType::Exn];
    let known = if version == 1 { &all[..1] } else { &all };
    known.iter().copied().find(|ty| u64::from(ref_code(*ty)) == code)
}

pub(super) fn decode(r: &mut Reader<'_>) -> Result<Value, Error> {
    r.tuple(2, "a value")?;
    let at = r.at();
    let code = r.unsigned("a value type")?;
    Ok(match u8::try_from(code).unwrap_or(0) {
        code::I32 => {
            let at = r.at();
            let value = i32::try_from(r.integer("an i32")?);
            Value::I32(value.map_err(|_| Error::malformed(at, "an i32 beyond 32 bits"))?)
        }
        code::I64 => Value::I64(r.integer("an i64")?),
        code::F32 => Value::F32(r.u32("the bits of an f32")?),
        code::F64 => Value::F64(r.unsigned("the bits of an f64")?),
        code::V128 => Value::V128(u128::from_le_bytes(r.bytes("a v128")?)),
        _ => match ref_type(r.version, code) {
            Some(ty) => ty.value(r.index_or_null("the index of a reference")?),
            None => return Err(Error::malformed(at, format!("unknown value type {code:#x}"))),
        },
    })
}

pub(super) fn encode_list(values: &[Value], w: &mut Writer<'_>) -> Result<(), Error> {
    w.array(values.len())?;
    values.iter().try_for_each(|&value| encode(value, w))
}

pub(super) fn decode_list(r: &mut Reader<'_>, what: &'static str) -> Result<Vec<Value>, Error> {
    r.list(|limits| &mut limits.values, what, decode)
}

/// Writes values by index, as locals and globals are: a map, for whose keys
/// the deterministic order is the ascending one.
pub(super) fn encode_indexed(values: &[(u32, Value)], w: &mut Writer<'_>) -> Result<(), Error> {
    w.map(values.len())?;
    for &(index, value) in values {
        w.unsigned(index)?;
        encode(value, w)?;
    }
    Ok(())
}

pub(super) fn decode_indexed(
    r: &mut Reader<'_>,
    what: &'static str,
) -> Result<Vec<(u32, Value)>, Error> {
    let mut previous = None;
    r.pairs(
        |limits| &mut limits.values,
        what,
        |r| {
            let at = r.at();
            let index = r.u32("an index")?;
            r.rule(at, rules::ascending(previous.replace(index), index))?;
            Ok((index, decode(r)?))
        },
    )
}
