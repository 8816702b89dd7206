//! Values as snapshots have them.

use std::fmt;

use tasklet_instrumenter::ValType;

use super::Value;
use crate::snapshot::{self, RefType};

impl snapshot::Value {
    /// Its type.
    pub fn ty(&self) -> ValType {
        use snapshot::Value::*;
        match self {
            I32(_) => ValType::I32,
            I64(_) => ValType::I64,
            F32(_) => ValType::F32,
            F64(_) => ValType::F64,
            V128(_) => ValType::V128,
            FuncRef(_) => ValType::FuncRef,
            ExternRef(_) => ValType::ExternRef,
            ExnRef(_) => ValType::ExnRef,
        }
    }

    /// The value outside of snapshots, if it is a number, a function or null.
    pub fn plain(self) -> Option<Value> {
        use snapshot::Value::*;
        Some(match self {
            I32(value) => Value::I32(value),
            I64(value) => Value::I64(value),
            F32(bits) => Value::F32(bits),
            F64(bits) => Value::F64(bits),
            V128(bits) => Value::V128(bits),
            FuncRef(index) => Value::FuncRef(index),
            ExternRef(None) => Value::ExternRef(None),
            ExnRef(None) => Value::ExnRef(None),
            ExternRef(Some(_)) | ExnRef(Some(_)) => return None,
        })
    }
}

impl Value {
    /// The value in a snapshot, if it is a number, a function or null.
    pub fn written(&self) -> Option<snapshot::Value> {
        use snapshot::Value as Written;
        Some(match *self {
            Value::I32(value) => Written::I32(value),
            Value::I64(value) => Written::I64(value),
            Value::F32(bits) => Written::F32(bits),
            Value::F64(bits) => Written::F64(bits),
            Value::V128(bits) => Written::V128(bits),
            Value::FuncRef(index) => Written::FuncRef(index),
            Value::ExternRef(None) => Written::ExternRef(None),
            Value::ExnRef(None) => Written::ExnRef(None),
            Value::ExternRef(Some(_)) | Value::ExnRef(Some(_)) | Value::AnyRef => return None,
        })
    }
}

impl fmt::Display for snapshot::Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.plain(), self) {
            (Some(plain), _) => plain.fmt(f),
            (None, snapshot::Value::ExternRef(Some(index))) => write!(f, "object[{index}]"),
            (None, snapshot::Value::ExnRef(Some(index))) => write!(f, "exception[{index}]"),
            (None, _) => Ok(()),
        }
    }
}

impl RefType {
    /// The type of the references.
    pub fn ty(self) -> ValType {
        match self {
            RefType::Func => ValType::FuncRef,
            RefType::Extern => ValType::ExternRef,
            RefType::Exn => ValType::ExnRef,
        }
    }

    /// The kind that the type is of, if snapshots know it.
    pub(crate) fn of(ty: ValType) -> Option<RefType> {
        [RefType::Func, RefType::Extern, RefType::Exn].into_iter().find(|kind| kind.ty() == ty)
    }
}
