//! The frame memory: walking, reading and writing the continuation.
//!
//! `tasklet_instrumenter::abi` describes the layout. Generated code writes frames; the engine
//! writes the first frame of a call, and all frames when a snapshot is loaded.

use tasklet_instrumenter::{Field, Metadata, Place, Point, PointKind, ValType, abi};
use wasmtime::{RootScope, Val};

use crate::error::Error;
use crate::pace::Pace;
use crate::state::{Context, Exports};
use crate::trap::{self, TrapFrame};
use crate::value::{self, Value};

const FRAME_BYTES_MAX: u64 = abi::limits::FRAME_PAGES_MAX << 16;
/// What a reference of a frame counts for in its depth: the shadow table is that much shorter.
const REFERENCE_BYTES: u64 = FRAME_BYTES_MAX / abi::limits::REFS_MAX;

/// Where a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawFrame {
    /// Its first byte in the frame memory.
    pub(crate) start: u32,
    /// Its first element in the shadow tables.
    pub(crate) references: u32,
    /// Its resume point, an index into the metadata that is in bounds.
    pub(crate) point: u32,
}

/// The frames of the continuation, innermost first.
pub(crate) fn walk(store: &mut impl Context) -> Result<Vec<RawFrame>, Error> {
    let mut frames = Vec::new();
    visit(store, |frame| frames.push(frame))?;
    Ok(frames)
}

/// Looks at each frame of the continuation, innermost first. There may be millions.
fn visit(store: &mut impl Context, mut see: impl FnMut(RawFrame)) -> Result<(), Error> {
    let (exports, metadata) = (store.exports(), store.metadata());
    let mut end = store.u32_global(exports.sp);
    let mut references = store.u32_global(exports.ref_sp);
    let bytes = exports.frames.data(&*store);
    while end > metadata.frames_base {
        let frame = frame_below(bytes, &metadata, end, references);
        let frame = frame.ok_or_else(|| Error::internal(format!("no frame below {end:#x}")))?;
        (end, references) = (frame.start, frame.references);
        see(frame);
    }
    Ok(())
}

fn frame_below(bytes: &[u8], metadata: &Metadata, end: u32, references: u32) -> Option<RawFrame> {
    let trailer_start = end.checked_sub(abi::TRAILER_BYTES)?;
    let word = |at: u32| {
        let at = (trailer_start + at) as usize;
        Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    };
    let (point, size) = (word(0)?, word(12)?);
    let known = metadata.points.get(point as usize)?;
    let start = end.checked_sub(size).filter(|&start| start >= metadata.frames_base)?;
    if size < known.frame_bytes || size < abi::TRAILER_BYTES {
        return None;
    }
    Some(RawFrame { start, references: references.checked_sub(word(4)?)?, point })
}

/// Steps charged for code that paused frames have still to run.
pub(crate) fn prepaid(store: &mut impl Context) -> Result<u64, Error> {
    let metadata = store.metadata();
    let mut prepaid = 0;
    visit(store, |frame| prepaid += metadata.points[frame.point as usize].prepaid)?;
    Ok(prepaid)
}

/// Adds the continuation to a backtrace of what is on the native stack, innermost first. Of a long
/// one the middle is left out.
pub(crate) fn add_paused_frames(
    store: &mut impl Context,
    backtrace: &mut Vec<TrapFrame>,
) -> Result<(), Error> {
    let metadata = store.metadata();
    let mut lines = backtrace.len();
    visit(store, |_| lines += 1)?;
    let left_out = trap::left_out(lines);
    let mut at = backtrace.len();
    let first = left_out.start.min(at)..left_out.end.min(at);
    backtrace.drain(first);
    visit(store, |frame| {
        if !left_out.contains(&at) {
            let point = &metadata.points[frame.point as usize];
            let offset = (point.kind != PointKind::Import).then_some(point.offset);
            backtrace.push(TrapFrame::of(&metadata, point.function, offset));
        }
        at += 1;
    })
}

/// How deep the continuation is, as its limit counts it: in bytes of frames.
pub(crate) fn depth_bytes(store: &mut impl Context) -> u64 {
    let (exports, metadata) = (store.exports(), store.metadata());
    let bytes = store.u32_global(exports.sp).saturating_sub(metadata.frames_base);
    let references = store.u32_global(exports.ref_sp).saturating_sub(metadata.refs_base);
    u64::from(bytes) + REFERENCE_BYTES * u64::from(references)
}

/// The live values of a frame.
pub(crate) fn read(
    store: &mut impl Context,
    frame: &RawFrame,
) -> Result<Vec<(Place, Value)>, Error> {
    let (exports, metadata) = (store.exports(), store.metadata());
    let fields = &metadata.points[frame.point as usize].fields;
    fields
        .iter()
        .map(|field| {
            let value = match field.ty {
                ty if ty.is_reference() => read_reference(store, ty, frame.references + field.at)?,
                _ => read_plain(exports.frames.data(&*store), frame.start, field)
                    .ok_or_else(|| Error::internal("a frame ends beyond its memory"))?,
            };
            Ok((field.place, value))
        })
        .collect()
}

fn read_plain(bytes: &[u8], start: u32, field: &Field) -> Option<Value> {
    read_value(bytes, start as usize + field.at as usize, field.ty)
}

/// The value of a type that is no reference at some place in the frame memory.
fn read_value(bytes: &[u8], at: usize, ty: ValType) -> Option<Value> {
    fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
        bytes.get(at..)?.first_chunk().copied()
    }
    Some(match ty {
        ValType::I32 => Value::I32(i32::from_le_bytes(array(bytes, at)?)),
        ValType::I64 => Value::I64(i64::from_le_bytes(array(bytes, at)?)),
        ValType::F32 => Value::F32(u32::from_le_bytes(array(bytes, at)?)),
        ValType::F64 => Value::F64(u64::from_le_bytes(array(bytes, at)?)),
        ValType::V128 => Value::V128(u128::from_le_bytes(array(bytes, at)?)),
        _ => return None,
    })
}

fn read_reference(store: &mut impl Context, ty: ValType, element: u32) -> Result<Value, Error> {
    let table = store.exports().shadow_table(ty)?;
    let mut scope = RootScope::new(store.as_context_mut());
    let reference = table.get(&mut scope, u64::from(element));
    let reference =
        reference.ok_or_else(|| Error::internal("a reference is beyond the shadow table"))?;
    value::from_wasm(&mut scope, &reference.into())
}

/// The results of the call that returned last.
pub(crate) fn results(store: &mut impl Context, function: u32) -> Result<Vec<Value>, Error> {
    let (exports, metadata) = (store.exports(), store.metadata());
    let ty = metadata.type_of(function).ok_or_else(|| Error::internal("an unknown function"))?;
    (0u32..)
        .zip(&ty.results)
        .map(|(index, &ty)| match ty {
            ty if ty.is_reference() => read_reference(store, ty, index),
            _ => {
                let at = index as usize * abi::RESULT_BYTES as usize;
                read_value(exports.frames.data(&*store), at, ty)
                    .ok_or_else(|| Error::internal("the result area is beyond its memory"))
            }
        })
        .collect()
}

/// Makes room for frames of that many bytes and references above the continuation.
pub(crate) fn grow_for(store: &mut impl Context, bytes: u64, references: u64) -> Result<(), Error> {
    let exports = store.exports();
    let end = u64::from(store.u32_global(exports.sp)).saturating_add(bytes);
    if end > FRAME_BYTES_MAX {
        return Err(Error::limit(format!("a continuation of {end} bytes")));
    }
    let ref_end = u64::from(store.u32_global(exports.ref_sp)).saturating_add(references);
    if ref_end > abi::limits::REFS_MAX {
        return Err(Error::limit(format!("a continuation of {ref_end} references")));
    }
    let pages = end.div_ceil(1 << 16).saturating_sub(exports.frames.size(&*store));
    store.as_context_mut().data_mut().limiter.own = true;
    let mut grown = Ok(());
    if pages > 0 {
        grown = exports.frames.grow(&mut *store, pages).map(drop);
    }
    let elements = exports.shadow_tables().iter().map(|(_, table)| table.size(&*store)).min();
    if let Some(grow) = &exports.grow_references
        && elements.is_some_and(|elements| elements < ref_end)
        && grown.is_ok()
    {
        grown = grow.call(&mut *store, ref_end as i32);
    }
    store.as_context_mut().data_mut().limiter.own = false;
    grown.map_err(|error| Error::limit(format!("a continuation of {end} bytes: {error}")))
}

/// Makes room for all that can be spilled before the next cut, once as it is written and once as
/// it is put in order. Generated code then never grows these itself, which the limiter could not
/// tell from the guest growing its own.
pub(crate) fn reserve(store: &mut impl Context, pace: &Pace, fuel: i64) -> Result<(), Error> {
    grow_for(store, 2 * pace.frame_bytes + (1 << 16), 2 * pace.references(fuel))
}

/// Whether [`reserve`] has nothing to do.
pub(crate) fn is_reserved(
    store: &mut impl Context,
    exports: &Exports,
    pace: &Pace,
    fuel: i64,
) -> bool {
    let end = u64::from(store.u32_global(exports.sp)) + 2 * pace.frame_bytes + (1 << 16);
    pace.references(fuel) == 0 && end <= exports.frames.data_size(&*store) as u64
}

/// Forgets the references of a continuation that is dropped, so that they can be collected.
pub(crate) fn forget_references(store: &mut impl Context) -> Result<(), Error> {
    let exports = store.exports();
    let sizes = exports.shadow_tables().iter().map(|(_, table)| table.size(&*store));
    forget(store, (0, sizes.min().unwrap_or(0) as u32))
}

/// Forgets the references that have been taken from a continuation which went up to `before`, and
/// the results that were handed on, now that it is paused.
pub(crate) fn forget_taken(store: &mut impl Context, before: u32) -> Result<(), Error> {
    let (exports, metadata) = (store.exports(), store.metadata());
    forget(store, (0, metadata.refs_base))?;
    let top = store.u32_global(exports.ref_sp);
    forget(store, (top, before))
}

/// Nulls these elements of the shadow tables. What stays there would be kept alive, and so how much
/// of their heap a guest may use would depend on how it was paused.
fn forget(store: &mut impl Context, (from, to): (u32, u32)) -> Result<(), Error> {
    let exports = store.exports();
    match &exports.forget_references {
        Some(forget) if exports.keeps_alive && from < to => {
            forget.call(&mut *store, (from as i32, to as i32)).map_err(Error::internal)
        }
        _ => Ok(()),
    }
}

/// Puts a frame on top of the continuation, for which there must be room.
pub(crate) fn push_frame<S: Context>(
    store: &mut S,
    index: u32,
    mut value: impl FnMut(&mut S, &Field) -> Result<Val, Error>,
) -> Result<(), Error> {
    let (exports, metadata) = (store.exports(), store.metadata());
    let point = &metadata.points[index as usize];
    let start = store.u32_global(exports.sp);
    let references = store.u32_global(exports.ref_sp);
    let mut frame = vec![0; point.frame_bytes as usize];
    for field in &point.fields {
        let value = value(store, field)?;
        if field.ty.is_reference() {
            let element = u64::from(references + field.at);
            let table = exports.shadow_table(field.ty)?;
            let set = table.set(&mut *store, element, value::reference_of(value)?);
            set.map_err(Error::internal)?;
        } else {
            write_plain(&mut frame, field.at as usize, value)
                .ok_or_else(|| Error::internal("a field beyond its frame"))?;
        }
    }
    let trailer = [index, point.references(), slot(&metadata, point)?, point.frame_bytes];
    let trailer_start = frame.len() - abi::TRAILER_BYTES as usize;
    for (word, bytes) in trailer.iter().zip(frame[trailer_start..].chunks_exact_mut(4)) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    let written = exports.frames.write(&mut *store, start as usize, &frame);
    written.map_err(|_| Error::internal("no room was made for a frame"))?;
    store.set_global(exports.sp, (start + point.frame_bytes) as i32)?;
    store.set_global(exports.ref_sp, (references + point.references()) as i32)
}

fn slot(metadata: &Metadata, point: &Point) -> Result<u32, Error> {
    let slot = metadata.functions.get(point.function as usize).and_then(|info| info.slot);
    slot.ok_or_else(|| Error::internal(format!("function {} cannot be resumed", point.function)))
}

fn write_plain(frame: &mut [u8], at: usize, value: Val) -> Option<()> {
    let mut put = |bytes: &[u8]| {
        frame.get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
        Some(())
    };
    match value {
        Val::I32(value) => put(&value.to_le_bytes()),
        Val::I64(value) => put(&value.to_le_bytes()),
        Val::F32(bits) => put(&bits.to_le_bytes()),
        Val::F64(bits) => put(&bits.to_le_bytes()),
        Val::V128(bits) => put(&bits.as_u128().to_le_bytes()),
        _ => None,
    }
}

/// Begins a call, whose argument types are known to fit: pushes the function's first frame.
pub(crate) fn push_call(
    store: &mut impl Context,
    function: u32,
    args: &[Value],
) -> Result<(), Error> {
    let metadata = store.metadata();
    let info = (metadata.functions.get(function as usize))
        .filter(|info| info.points > 0)
        .ok_or_else(|| Error::internal(format!("function {function} cannot be entered")))?;
    let point = metadata.points.get(info.first_point as usize);
    let point = point.ok_or_else(|| Error::internal("a point beyond the metadata"))?;
    grow_for(store, u64::from(point.frame_bytes), u64::from(point.references()))?;
    let mut scope = RootScope::new(store.as_context_mut());
    push_frame(&mut scope, info.first_point, |store, field| {
        let argument = match field.place {
            Place::Local(index) => args.get(index as usize),
            Place::Operand(_) => None,
        };
        value::to_wasm(store, argument.unwrap_or(&Value::zero(field.ty)))
    })
}
