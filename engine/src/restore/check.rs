//! Whether a snapshot is one of that module, from end to end, before anything is made of it.

use tasklet_instrumenter::{Metadata, Place, Point, PointKind, ValType, abi};

use crate::error::Error;
use crate::limits::Limits;
use crate::module::Module;
use crate::snapshot::{
    Exception, Frame, MemoryState, PAGE_BYTES, PageData, PendingCall, Position, Snapshot, Status,
    TableState, Value, WASM_PAGE_BYTES,
};
use crate::value::type_name;

/// More credit than a paused tasklet can have: a slice ends because its credit cannot pay for one
/// charge. A forged balance must not be worth more than that.
const CREDIT_MAX: i64 = 1 << 31;

/// What checking found out.
pub(super) struct Checked {
    /// The resume point of every frame, outermost first.
    pub(super) points: Vec<u32>,
    /// What all frames take.
    pub(super) frame_bytes: u64,
    pub(super) references: u64,
    /// A function with the result types of the call being made.
    pub(super) current: u32,
    /// Steps charged and fuel left, what frames have prepaid being spent.
    pub(super) charged: u64,
    pub(super) fuel: i64,
}

/// What references can be to.
#[derive(Clone, Copy)]
struct Known<'a> {
    metadata: &'a Metadata,
    /// How many there are.
    objects: usize,
    exceptions: usize,
}

/// Checks everything.
pub(super) fn check(
    module: &Module,
    snapshot: &Snapshot<'_>,
    limits: &Limits,
) -> Result<Checked, Error> {
    let metadata = module.metadata();
    identity(module, snapshot)?;
    let known =
        Known { metadata, objects: snapshot.objects.len(), exceptions: snapshot.exceptions.len() };
    memories(metadata, &snapshot.memories, limits)?;
    exceptions(known, &snapshot.exceptions)?;
    globals(known, &snapshot.globals)?;
    tables(known, &snapshot.tables, limits)?;
    segments("data", metadata.data_segments, &snapshot.dropped_data)?;
    segments("element", metadata.element_segments, &snapshot.dropped_elements)?;
    let entry = entry(known, snapshot)?;
    pending(known, &snapshot.pending)?;
    status(known, snapshot, entry)?;
    continuation(known, snapshot, entry)
}

fn identity(module: &Module, snapshot: &Snapshot<'_>) -> Result<(), Error> {
    let (wanted, found) = (snapshot.module.hash, module.hash());
    if wanted != found {
        return Err(Error::incompatible(format!("it is of module {wanted}, not of {found}")));
    }
    let (theirs, ours) = (snapshot.cost_table, module.metadata().cost_table);
    if theirs != ours {
        let what = format!("its steps were counted by cost table {theirs}, this build has {ours}");
        return Err(Error::incompatible(what));
    }
    Ok(())
}

fn require(held: bool, what: impl FnOnce() -> String) -> Result<(), Error> {
    if held { Ok(()) } else { Err(Error::snapshot(what())) }
}

fn memories(metadata: &Metadata, states: &[MemoryState<'_>], limits: &Limits) -> Result<(), Error> {
    let indices = states.iter().map(|state| state.index);
    require(indices.eq(metadata.memories.iter().map(|info| info.index)), || {
        "its memories are not the module's".into()
    })?;
    for (state, info) in states.iter().zip(&metadata.memories) {
        let (index, pages) = (state.index, state.pages);
        require(pages >= info.pages && info.pages_max.is_none_or(|max| pages <= max), || {
            format!("memory {index} cannot have {pages} pages")
        })?;
        if pages > limits.memory_bytes / WASM_PAGE_BYTES {
            return Err(Error::limit(format!("memory {index} of {pages} pages")));
        }
        let pages = pages * (WASM_PAGE_BYTES / PAGE_BYTES as u64);
        for run in &state.runs {
            let end = run.first.checked_add(run.count);
            let whole = match &run.data {
                PageData::Zero => true,
                PageData::Bytes(bytes) => {
                    run.count.checked_mul(PAGE_BYTES as u64) == Some(bytes.len() as u64)
                }
            };
            require(whole && end.is_some_and(|end| end <= pages), || {
                format!("memory {index}: the pages from {} on do not fit", run.first)
            })?;
        }
    }
    Ok(())
}

fn globals(known: Known<'_>, values: &[(u32, Value)]) -> Result<(), Error> {
    let found = values.iter().map(|(index, value)| (*index, value.ty()));
    require(found.eq(known.metadata.globals.iter().map(|info| (info.index, info.ty))), || {
        "its globals are not the module's".into()
    })?;
    values.iter().try_for_each(|(_, value)| reference(known, *value))
}

fn tables(known: Known<'_>, states: &[TableState], limits: &Limits) -> Result<(), Error> {
    let indices = states.iter().map(|state| state.index);
    require(indices.eq(known.metadata.tables.iter().map(|info| info.index)), || {
        "its tables are not the module's".into()
    })?;
    for (state, info) in states.iter().zip(&known.metadata.tables) {
        let (index, size) = (state.index, state.size);
        require(state.element.ty() == info.element, || {
            format!("table {index} holds no {}", type_name(state.element.ty()))
        })?;
        require(size >= info.elements && info.elements_max.is_none_or(|max| size <= max), || {
            format!("table {index} cannot have {size} elements")
        })?;
        if size > limits.table_elements {
            return Err(Error::limit(format!("table {index} of {size} elements")));
        }
        for run in &state.runs {
            let end = run.first.checked_add(run.elements.len() as u64);
            require(end.is_some_and(|end| end <= size), || {
                format!("table {index}: the elements from {} on do not fit", run.first)
            })?;
            let elements = run.elements.iter().map(|&index| state.element.value(index));
            elements.into_iter().try_for_each(|value| reference(known, value))?;
        }
    }
    Ok(())
}

fn segments(kind: &str, count: u32, dropped: &[u32]) -> Result<(), Error> {
    require(dropped.iter().all(|&index| index < count), || {
        format!("it dropped a {kind} segment that the module does not have")
    })
}

/// A reference can only be to a function whose address the module takes, and to objects and
/// exceptions that are there.
fn reference(known: Known<'_>, value: Value) -> Result<(), Error> {
    let there = match value {
        Value::FuncRef(Some(index)) => {
            known.metadata.referenced_functions.binary_search(&index).is_ok()
        }
        Value::ExternRef(Some(index)) => (index as usize) < known.objects,
        Value::ExnRef(Some(index)) => (index as usize) < known.exceptions,
        _ => true,
    };
    require(there, || format!("no reference to {value} can exist"))
}

fn values(known: Known<'_>, values: &[Value], types: &[ValType]) -> Result<bool, Error> {
    values.iter().try_for_each(|&value| reference(known, value))?;
    Ok(values.iter().map(Value::ty).eq(types.iter().copied()))
}

/// A payload has the types of its tag, and holds only exceptions that were there before it.
fn exceptions(known: Known<'_>, exceptions: &[Exception]) -> Result<(), Error> {
    for (number, exception) in exceptions.iter().enumerate() {
        let tag = known.metadata.tags.iter().find(|info| info.index == exception.tag);
        let fits = match tag {
            Some(info) => {
                values(Known { exceptions: number, ..known }, &exception.fields, &info.params)?
            }
            None => false,
        };
        require(fits, || format!("exception {number} cannot be of tag {}", exception.tag))?;
    }
    Ok(())
}

/// The function that was started.
fn entry(known: Known<'_>, snapshot: &Snapshot<'_>) -> Result<u32, Error> {
    let entry = &snapshot.entry;
    let export = known.metadata.exports.iter().find(|export| export.name == entry.export);
    let function = export.map(|export| export.function);
    let ty = function.and_then(|function| known.metadata.type_of(function));
    match (function, ty) {
        (Some(function), Some(ty)) if values(known, &entry.args, &ty.params)? => Ok(function),
        _ => Err(Error::snapshot(format!("`{}` cannot have been started so", entry.export))),
    }
}

fn pending(known: Known<'_>, calls: &[PendingCall]) -> Result<(), Error> {
    for call in calls {
        let index = call.function;
        let enterable = known.metadata.functions.get(index as usize);
        let enterable = enterable.is_some_and(|info| info.slot.is_some() && info.points > 0);
        let fits = match known.metadata.type_of(index) {
            Some(ty) => values(known, &call.args, &ty.params)?,
            None => false,
        };
        require(enterable && fits, || format!("a pending call of function {index} cannot be"))?;
    }
    Ok(())
}

fn status(known: Known<'_>, snapshot: &Snapshot<'_>, entry: u32) -> Result<(), Error> {
    let idle = snapshot.frames.is_empty() && snapshot.pending.is_empty();
    match &snapshot.status {
        Status::Paused { .. } => {
            return require(!idle, || "it is paused but nothing is left to run".into());
        }
        Status::Finished { results } => {
            let ty = known.metadata.type_of(entry).map(|ty| &ty.results[..]).unwrap_or_default();
            let fits = values(known, results, ty)?;
            require(fits, || "its results are not of the entry's types".into())?;
        }
        Status::Trapped { backtrace, .. } => {
            let known = |index: u32| (index as usize) < known.metadata.functions.len();
            require(backtrace.iter().all(|line| known(line.function)), || {
                "its backtrace names a function that the module does not have".into()
            })?;
        }
        Status::Exited { .. } => {}
    }
    require(idle, || "it has ended but something is left to run".into())
}

fn continuation(known: Known<'_>, snapshot: &Snapshot<'_>, entry: u32) -> Result<Checked, Error> {
    let mut points = Vec::with_capacity(snapshot.frames.len());
    let (mut frame_bytes, mut references, mut prepaid) = (0u64, 0u64, 0u64);
    let innermost = snapshot.frames.len().checked_sub(1);
    for (depth, frame) in snapshot.frames.iter().enumerate() {
        let index = find_point(known.metadata, frame, depth)?;
        let point = &known.metadata.points[index as usize];
        require((point.kind != PointKind::Call) == (Some(depth) == innermost), || {
            format!("frame {depth}: exactly the frames below the innermost are in calls")
        })?;
        if let Some(above) = snapshot.frames.get(depth + 1) {
            callee(known.metadata, point, above.function, depth)?;
        }
        frame_values(known, frame, point, depth)?;
        frame_bytes = frame_bytes.saturating_add(u64::from(point.frame_bytes));
        references = references.saturating_add(u64::from(point.references()));
        prepaid = prepaid.saturating_add(point.prepaid);
        points.push(index);
    }
    let current = current(known.metadata, snapshot, entry)?;
    let charged = snapshot.steps_used.checked_add(prepaid);
    let fuel = snapshot.balance.checked_sub_unsigned(prepaid);
    match (charged, fuel) {
        (Some(charged), Some(fuel)) if (-abi::FUEL_MAX..=CREDIT_MAX).contains(&fuel) => {
            Ok(Checked { points, frame_bytes, references, current, charged, fuel })
        }
        _ => Err(Error::snapshot(format!("its balance cannot be {}", snapshot.balance))),
    }
}

/// The frame above returns what the call below it expects, whatever its function: it may stand for
/// one that it was tail-called by.
fn callee(metadata: &Metadata, point: &Point, above: u32, depth: usize) -> Result<(), Error> {
    let expected = point.callee.and_then(|ty| metadata.types.get(ty as usize));
    let found = metadata.type_of(above);
    let fits = expected.zip(found).is_some_and(|(a, b)| a.results == b.results);
    require(fits, || {
        format!("frame {depth}: the call there does not return what function {above} does")
    })
}

/// The outermost frame returns what the call being made does: nothing if other calls are to
/// follow, since only the last one's results are kept.
fn current(metadata: &Metadata, snapshot: &Snapshot<'_>, entry: u32) -> Result<u32, Error> {
    let Some(outermost) = snapshot.frames.first() else { return Ok(entry) };
    let results = |index| metadata.type_of(index).map(|ty| &ty.results[..]).unwrap_or_default();
    let expected = if snapshot.pending.is_empty() { results(entry) } else { &[] };
    require(results(outermost.function) == expected, || {
        "its outermost frame does not return what the entry does".into()
    })?;
    Ok(outermost.function)
}

fn find_point(metadata: &Metadata, frame: &Frame, depth: usize) -> Result<u32, Error> {
    let (kind, offset) = match frame.at {
        Position::Entry => (PointKind::Entry, None),
        Position::Loop { offset } => (PointKind::Loop, Some(offset)),
        Position::Call { offset } => (PointKind::Call, Some(offset)),
        Position::Import => (PointKind::Import, None),
    };
    let index = frame.function;
    let Some(info) = metadata.functions.get(index as usize) else {
        return Err(Error::snapshot(format!("frame {depth}: the module has no function {index}")));
    };
    let is_here =
        |point: &Point| point.kind == kind && offset.is_none_or(|offset| offset == point.offset);
    let found = metadata.points_of(index).iter().position(is_here);
    match found.zip(info.slot) {
        Some((at, _)) => Ok(info.first_point + at as u32),
        None => Err(Error::incompatible(format!(
            "frame {depth}: nothing pauses at {:?} of function {index}",
            frame.at
        ))),
    }
}

/// The value of a place, if the frame has it.
pub(super) fn find(frame: &Frame, place: Place) -> Option<Value> {
    match place {
        Place::Local(index) => {
            let at = frame.locals.binary_search_by_key(&index, |(index, _)| *index).ok()?;
            Some(frame.locals[at].1)
        }
        Place::Operand(index) => frame.operands.get(index as usize).copied(),
    }
}

fn frame_values(known: Known<'_>, frame: &Frame, point: &Point, depth: usize) -> Result<(), Error> {
    let operands = point.fields.iter().filter(|field| matches!(field.place, Place::Operand(_)));
    require(operands.count() == frame.operands.len(), || {
        format!("frame {depth}: it has another number of operands")
    })?;
    require(frame.locals.is_sorted_by(|a, b| a.0 < b.0), || {
        format!("frame {depth}: its locals are not in order")
    })?;
    for field in &point.fields {
        let Some(value) = find(frame, field.place) else {
            // A local may be dead, but not an argument of a call that is to be made.
            require(point.kind != PointKind::Import, || {
                format!("frame {depth}: the arguments of the import are not all there")
            })?;
            continue;
        };
        require(value.ty() == field.ty, || {
            let (found, wanted) = (type_name(value.ty()), type_name(field.ty));
            format!("frame {depth}: {:?} is {found} instead of {wanted}", field.place)
        })?;
        reference(known, value)?;
    }
    Ok(())
}
