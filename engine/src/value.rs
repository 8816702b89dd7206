//! Wasm values, and their text.

mod object;
mod wasm;
mod written;

use std::fmt;

use tasklet_instrumenter::ValType;

use crate::host::WasmType;

pub use object::{Exception, HostObject};
pub(crate) use wasm::{FunctionMap, from_wasm, heap_full, null_of, reference_of, to_wasm};

/// A WebAssembly value with its type; floats as bits, so that NaN payloads are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A 32-bit integer.
    I32(i32),
    /// A 64-bit integer.
    I64(i64),
    /// The bits of a 32-bit float.
    F32(u32),
    /// The bits of a 64-bit float.
    F64(u64),
    /// A vector; lane 0 in the least significant bits.
    V128(u128),
    /// A function by its original index, or null.
    FuncRef(Option<u32>),
    /// An object of the host's, or null.
    ExternRef(Option<HostObject>),
    /// An exception, or null.
    ExnRef(Option<Exception>),
    /// The null of the `any` hierarchy, of which there are no other values yet.
    AnyRef,
}

impl<T: WasmType> From<T> for Value {
    fn from(value: T) -> Value {
        value.into_value()
    }
}

impl Value {
    /// The number, if it is of that type: `value.get::<i32>()`.
    pub fn get<T: WasmType>(&self) -> Option<T> {
        T::from_value(self)
    }

    /// Its type.
    pub fn ty(&self) -> ValType {
        match self {
            Value::I32(_) => ValType::I32,
            Value::I64(_) => ValType::I64,
            Value::F32(_) => ValType::F32,
            Value::F64(_) => ValType::F64,
            Value::V128(_) => ValType::V128,
            Value::FuncRef(_) => ValType::FuncRef,
            Value::ExternRef(_) => ValType::ExternRef,
            Value::ExnRef(_) => ValType::ExnRef,
            Value::AnyRef => ValType::AnyRef,
        }
    }

    /// The zero, or null, of a type.
    pub fn zero(ty: ValType) -> Value {
        match ty {
            ValType::I32 => Value::I32(0),
            ValType::I64 => Value::I64(0),
            ValType::F32 => Value::F32(0),
            ValType::F64 => Value::F64(0),
            ValType::V128 => Value::V128(0),
            ValType::FuncRef => Value::FuncRef(None),
            ValType::ExternRef => Value::ExternRef(None),
            ValType::ExnRef => Value::ExnRef(None),
            ValType::AnyRef => Value::AnyRef,
        }
    }

    /// Reads a value of a type as people write it: integers signed or unsigned, decimal or with
    /// `0x`; floats decimal, `inf`, `nan` or `nan:0x<bits>`; vectors `0x<up to 32 digits>`;
    /// references only `null`.
    pub fn parse(ty: ValType, text: &str) -> Option<Value> {
        Some(match ty {
            ValType::I32 => {
                let wide = parse_integer(text)?;
                let narrow = i32::try_from(wide).ok();
                Value::I32(narrow.or_else(|| u32::try_from(wide).ok().map(|v| v as i32))?)
            }
            ValType::I64 => {
                let wide = parse_integer(text)?;
                let narrow = i64::try_from(wide).ok();
                Value::I64(narrow.or_else(|| u64::try_from(wide).ok().map(|v| v as i64))?)
            }
            ValType::F32 => match text.strip_prefix("nan:0x") {
                Some(bits) => Value::F32(u32::from_str_radix(bits, 16).ok()?),
                None => Value::F32(text.parse::<f32>().ok()?.to_bits()),
            },
            ValType::F64 => match text.strip_prefix("nan:0x") {
                Some(bits) => Value::F64(u64::from_str_radix(bits, 16).ok()?),
                None => Value::F64(text.parse::<f64>().ok()?.to_bits()),
            },
            ValType::V128 => Value::V128(u128::from_str_radix(text.strip_prefix("0x")?, 16).ok()?),
            _ if text == "null" => Value::zero(ty),
            _ => return None,
        })
    }
}

fn parse_integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    // `from_str_radix` would take a sign of its own.
    if digits.starts_with(['-', '+']) {
        return None;
    }
    let magnitude = match digits.strip_prefix("0x") {
        Some(hex) => i128::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { -magnitude } else { magnitude })
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::I32(value) => value.fmt(f),
            Value::I64(value) => value.fmt(f),
            Value::F32(bits) if f32::from_bits(*bits).is_nan() => write!(f, "nan:{bits:#x}"),
            Value::F32(bits) => f32::from_bits(*bits).fmt(f),
            Value::F64(bits) if f64::from_bits(*bits).is_nan() => write!(f, "nan:{bits:#x}"),
            Value::F64(bits) => f64::from_bits(*bits).fmt(f),
            Value::V128(bits) => write!(f, "{bits:#034x}"),
            Value::FuncRef(Some(index)) => write!(f, "func[{index}]"),
            Value::ExternRef(Some(object)) => write!(f, "extern[{}]", object.type_name()),
            Value::ExnRef(Some(_)) => f.write_str("exn"),
            Value::FuncRef(None) | Value::ExternRef(None) | Value::ExnRef(None) | Value::AnyRef => {
                f.write_str("null")
            }
        }
    }
}

/// `i32, i64`: types as messages list them.
pub(crate) fn list(types: impl IntoIterator<Item = ValType>) -> String {
    let names: Vec<_> = types.into_iter().map(type_name).collect();
    names.join(", ")
}

pub(crate) fn type_name(ty: ValType) -> &'static str {
    match ty {
        ValType::I32 => "i32",
        ValType::I64 => "i64",
        ValType::F32 => "f32",
        ValType::F64 => "f64",
        ValType::V128 => "v128",
        ValType::FuncRef => "funcref",
        ValType::ExternRef => "externref",
        ValType::ExnRef => "exnref",
        ValType::AnyRef => "anyref",
    }
}

/// Whether the values have these types, in this order.
pub(crate) fn have_types(values: &[Value], types: &[ValType]) -> bool {
    values.iter().map(Value::ty).eq(types.iter().copied())
}
