//! Values as assertions see them, and the patterns they are compared with.

use tasklet_engine::{HostObject, Value};
use wast::core::{AbstractHeapType, HeapType, NanPattern, V128Pattern, WastArgCore, WastRetCore};
use wast::token::{F32, F64};
use wast::{WastArg, WastRet};

/// A value, as far as an assertion can tell it from others. References to functions and objects
/// have no identity that a script could name.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
    V128(u128),
    Null,
    Func,
    /// A reference of the host's, with the number the script knows it by.
    Extern(Option<u32>),
    /// The same, in the hierarchy of `any`.
    Host(Option<u32>),
    Exn,
    I31,
    Struct,
    Array,
}

impl Seen {
    /// A value of the engine's.
    pub fn of(value: &Value) -> Seen {
        match value.clone() {
            Value::I32(value) => Seen::I32(value),
            Value::I64(value) => Seen::I64(value),
            Value::F32(bits) => Seen::F32(bits),
            Value::F64(bits) => Seen::F64(bits),
            Value::V128(bits) => Seen::V128(bits),
            Value::FuncRef(None) => Seen::Null,
            Value::FuncRef(Some(_)) => Seen::Func,
            Value::ExternRef(None) | Value::ExnRef(None) | Value::AnyRef => Seen::Null,
            Value::ExternRef(Some(object)) => Seen::Extern(object.downcast_ref::<u32>().copied()),
            Value::ExnRef(Some(_)) => Seen::Exn,
        }
    }
}

/// An argument as the engine takes it, or why it cannot be given.
pub fn argument(arg: &WastArg<'_>) -> Result<Value, String> {
    let WastArg::Core(arg) = arg else { return Err("values of components".into()) };
    Ok(match arg {
        WastArgCore::I32(value) => Value::I32(*value),
        WastArgCore::I64(value) => Value::I64(*value),
        WastArgCore::F32(value) => Value::F32(value.bits),
        WastArgCore::F64(value) => Value::F64(value.bits),
        WastArgCore::V128(value) => Value::V128(u128::from_le_bytes(value.to_le_bytes())),
        WastArgCore::RefNull(ty) => null(ty),
        WastArgCore::RefExtern(number) => Value::ExternRef(Some(HostObject::new(*number))),
        WastArgCore::RefHost(_) => {
            return Err("arguments of reference types of garbage collection".into());
        }
    })
}

fn null(ty: &HeapType<'_>) -> Value {
    use AbstractHeapType::{Exn, Extern, Func, NoExn, NoExtern, NoFunc};
    match ty {
        HeapType::Abstract { ty: Func | NoFunc, .. } => Value::FuncRef(None),
        HeapType::Abstract { ty: Extern | NoExtern, .. } => Value::ExternRef(None),
        HeapType::Abstract { ty: Exn | NoExn, .. } => Value::ExnRef(None),
        HeapType::Abstract { .. } => Value::AnyRef,
        _ => Value::FuncRef(None),
    }
}

/// Whether values are those an assertion expects.
pub fn all_match(expected: &[WastRet<'_>], found: &[Seen]) -> bool {
    let one = |(expected, found): (&WastRet<'_>, &Seen)| match expected {
        WastRet::Core(expected) => matches(expected, found),
        _ => false,
    };
    expected.len() == found.len() && expected.iter().zip(found).all(one)
}

fn matches(expected: &WastRetCore<'_>, found: &Seen) -> bool {
    use WastRetCore as R;
    match (expected, found) {
        (R::Either(cases), _) => cases.iter().any(|case| matches(case, found)),
        (R::I32(expected), Seen::I32(found)) => expected == found,
        (R::I64(expected), Seen::I64(found)) => expected == found,
        (R::F32(expected), Seen::F32(found)) => f32_matches(expected, *found),
        (R::F64(expected), Seen::F64(found)) => f64_matches(expected, *found),
        (R::V128(expected), Seen::V128(found)) => v128_matches(expected, *found),
        (R::RefNull(_), Seen::Null) => true,
        (R::RefFunc(_), Seen::Func) => true,
        (R::RefExtern(None), Seen::Extern(_)) => true,
        (R::RefExtern(expected), Seen::Extern(found)) => expected == found,
        (R::RefHost(expected), Seen::Host(found)) => Some(*expected) == *found,
        (R::RefAny, Seen::Host(_) | Seen::I31 | Seen::Struct | Seen::Array) => true,
        (R::RefEq, Seen::I31 | Seen::Struct | Seen::Array) => true,
        (R::RefArray, Seen::Array) | (R::RefStruct, Seen::Struct) | (R::RefI31, Seen::I31) => true,
        _ => false,
    }
}

fn f32_matches(expected: &NanPattern<F32>, found: u32) -> bool {
    const QUIET: u32 = 0x7fc0_0000;
    match expected {
        NanPattern::CanonicalNan => found & 0x7fff_ffff == QUIET,
        NanPattern::ArithmeticNan => found & QUIET == QUIET,
        NanPattern::Value(value) => value.bits == found,
    }
}

fn f64_matches(expected: &NanPattern<F64>, found: u64) -> bool {
    const QUIET: u64 = 0x7ff8_0000_0000_0000;
    match expected {
        NanPattern::CanonicalNan => found & 0x7fff_ffff_ffff_ffff == QUIET,
        NanPattern::ArithmeticNan => found & QUIET == QUIET,
        NanPattern::Value(value) => value.bits == found,
    }
}

fn v128_matches(expected: &V128Pattern, found: u128) -> bool {
    let lane = |bits: u32, at: usize| found >> (bits as usize * at);
    match expected {
        V128Pattern::I8x16(lanes) => (0..).zip(lanes).all(|(at, l)| lane(8, at) as i8 == *l),
        V128Pattern::I16x8(lanes) => (0..).zip(lanes).all(|(at, l)| lane(16, at) as i16 == *l),
        V128Pattern::I32x4(lanes) => (0..).zip(lanes).all(|(at, l)| lane(32, at) as i32 == *l),
        V128Pattern::I64x2(lanes) => (0..).zip(lanes).all(|(at, l)| lane(64, at) as i64 == *l),
        V128Pattern::F32x4(lanes) => {
            (0..).zip(lanes).all(|(at, l)| f32_matches(l, lane(32, at) as u32))
        }
        V128Pattern::F64x2(lanes) => {
            (0..).zip(lanes).all(|(at, l)| f64_matches(l, lane(64, at) as u64))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f32(bits: u32) -> WastRetCore<'static> {
        WastRetCore::F32(NanPattern::Value(F32 { bits }))
    }

    #[test]
    fn nans_are_told_apart_by_class() {
        let canonical = WastRetCore::F32(NanPattern::CanonicalNan);
        let arithmetic = WastRetCore::F32(NanPattern::ArithmeticNan);
        for (bits, is_canonical, is_arithmetic) in [
            (0x7fc0_0000, true, true),
            (0xffc0_0000, true, true),
            (0x7fc0_0001, false, true),
            (0x7f80_0001, false, false),
            (0x3f80_0000, false, false),
        ] {
            assert_eq!(matches(&canonical, &Seen::F32(bits)), is_canonical, "{bits:#x}");
            assert_eq!(matches(&arithmetic, &Seen::F32(bits)), is_arithmetic, "{bits:#x}");
        }
        assert!(!matches(&f32(0), &Seen::F32(0x8000_0000)), "zeros have signs");
    }

    #[test]
    fn lanes_are_compared_each_by_its_pattern() {
        let one = NanPattern::Value(F64 { bits: 1f64.to_bits() });
        let pattern = WastRetCore::V128(V128Pattern::F64x2([NanPattern::CanonicalNan, one]));
        let bits = |high: f64| Seen::V128(u128::from(high.to_bits()) << 64 | 0x7ff8 << 48);
        assert!(matches(&pattern, &bits(1.0)));
        assert!(!matches(&pattern, &bits(2.0)));
        let bytes = WastRetCore::V128(V128Pattern::I8x16(std::array::from_fn(|at| at as i8)));
        let found = u128::from_le_bytes(std::array::from_fn(|at| at as u8));
        assert!(matches(&bytes, &Seen::V128(found)));
        assert!(!matches(&bytes, &Seen::V128(found ^ 1 << 127)));
    }

    #[test]
    fn kinds_are_not_mixed_up() {
        assert!(!matches(&WastRetCore::I32(0), &Seen::I64(0)));
        assert!(!matches(&WastRetCore::RefFunc(None), &Seen::Null));
        assert!(!matches(&WastRetCore::RefNull(None), &Seen::Func));
        let either = WastRetCore::Either(vec![WastRetCore::I32(1), WastRetCore::I32(2)]);
        assert!(matches(&either, &Seen::I32(2)) && !matches(&either, &Seen::I32(3)));
        assert!(!all_match(&[], &[Seen::I32(0)]));
    }
}
