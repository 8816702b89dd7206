//! Wasm values between the three worlds they live in: snapshots, wasmtime and text.

use std::collections::HashMap;
use std::fmt;

use tasklet_instrumenter::ValType;
use wasmtime::{Ref, Val};

use crate::error::Error;
pub use crate::snapshot::Value;
use crate::state::Context;

impl Value {
    /// Its type.
    pub fn ty(&self) -> ValType {
        match self {
            Value::I32(_) => ValType::I32,
            Value::I64(_) => ValType::I64,
            Value::F32(_) => ValType::F32,
            Value::F64(_) => ValType::F64,
            Value::V128(_) => ValType::V128,
            Value::FuncRef(_) => ValType::FuncRef,
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
            ValType::FuncRef if text == "null" => Value::FuncRef(None),
            ValType::FuncRef => return None,
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
        match *self {
            Value::I32(value) => value.fmt(f),
            Value::I64(value) => value.fmt(f),
            Value::F32(bits) if f32::from_bits(bits).is_nan() => write!(f, "nan:{bits:#x}"),
            Value::F32(bits) => f32::from_bits(bits).fmt(f),
            Value::F64(bits) if f64::from_bits(bits).is_nan() => write!(f, "nan:{bits:#x}"),
            Value::F64(bits) => f64::from_bits(bits).fmt(f),
            Value::V128(bits) => write!(f, "{bits:#034x}"),
            Value::FuncRef(Some(index)) => write!(f, "func[{index}]"),
            Value::FuncRef(None) => f.write_str("null"),
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
    }
}

/// Whether the values have these types, in this order.
pub(crate) fn have_types(values: &[Value], types: &[ValType]) -> bool {
    values.iter().map(Value::ty).eq(types.iter().copied())
}

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
        other => {
            return Err(Error::Unsupported {
                what: format!("a value of type {:?}", other.ty(store.as_context())),
            });
        }
    })
}

/// Translates a value into the store. Fails if it is a function that the module never takes the
/// address of.
pub(crate) fn to_wasm(store: &mut impl Context, value: Value) -> Result<Val, Error> {
    Ok(match value {
        Value::I32(value) => Val::I32(value),
        Value::I64(value) => Val::I64(value),
        Value::F32(bits) => Val::F32(bits),
        Value::F64(bits) => Val::F64(bits),
        Value::V128(bits) => Val::V128(bits.into()),
        Value::FuncRef(None) => Val::FuncRef(None),
        Value::FuncRef(Some(index)) => Val::FuncRef(Some(store.function(index)?)),
    })
}
