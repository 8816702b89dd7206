//! The rules a snapshot keeps, one by one: the reader applies each where it
//! reads, the writer applies all before it writes.

use super::pages::is_zero;
use super::source::PARALLEL_BYTES;
use super::{
    Frame, MemoryState, ModuleRef, PAGE_BYTES, PageData, PendingCall, Position, Snapshot, Status,
    TableState, Value, WASM_PAGE_BYTES, host, references,
};

/// Ok, or the rule that is broken.
pub(super) type Rule = Result<(), &'static str>;

pub(super) fn require(held: bool, rule: &'static str) -> Rule {
    if held { Ok(()) } else { Err(rule) }
}

/// Checks a whole snapshot, before it is written.
pub(super) fn check(snapshot: &Snapshot<'_>) -> Rule {
    module(&snapshot.module)?;
    continuation(&snapshot.status, &snapshot.frames, &snapshot.pending)?;
    frames(&snapshot.frames)?;
    all_ascending(snapshot.memories.iter().map(|memory| memory.index))?;
    snapshot.memories.iter().try_for_each(memory)?;
    indexed(&snapshot.globals)?;
    all_ascending(snapshot.tables.iter().map(|table| table.index))?;
    snapshot.tables.iter().try_for_each(table)?;
    all_ascending(snapshot.dropped_data.iter().copied())?;
    all_ascending(snapshot.dropped_elements.iter().copied())?;
    unique_names(&snapshot.host)?;
    host::check(&snapshot.host)?;
    unique_names(&snapshot.labels)?;
    references::numbering(snapshot)
}

/// The size of an embedded module. Its hash is checked by the reader alone, which cannot trust it.
pub(super) fn module(module: &ModuleRef<'_>) -> Rule {
    let size = module.bytes.as_ref().map_or(module.size, |bytes| bytes.len() as u64);
    require(size == module.size, "the module's size is not that of its bytes")
}

/// A paused tasklet has something left to run, an ended one nothing.
pub(super) fn continuation(status: &Status, frames: &[Frame], pending: &[PendingCall]) -> Rule {
    let idle = frames.is_empty() && pending.is_empty();
    match status {
        Status::Paused { .. } => require(!idle, "a paused tasklet has no frame or pending call"),
        _ => require(idle, "an ended tasklet has frames or pending calls"),
    }
}

fn frames(frames: &[Frame]) -> Rule {
    let mut outer = None;
    for one in frames {
        outer_frame(outer.replace(one.at))?;
        frame(one)?;
    }
    Ok(())
}

/// What a frame's position must be for another frame to follow it.
pub(super) fn outer_frame(position: Option<Position>) -> Rule {
    let in_call = matches!(position, None | Some(Position::Call { .. }));
    require(in_call, "a frame follows one that is not in a call")
}

pub(super) fn frame(frame: &Frame) -> Rule {
    indexed(&frame.locals)?;
    if matches!(frame.at, Position::Entry | Position::Import) {
        require(frame.operands.is_empty(), "a frame at its entry or in an import has operands")?;
    }
    if frame.at == Position::Import {
        let gapless = (0..).zip(&frame.locals).all(|(at, local): (u32, _)| local.0 == at);
        require(gapless, "arguments of a pending import are missing")?;
    }
    Ok(())
}

fn memory(memory: &MemoryState<'_>) -> Rule {
    let mut order = RunOrder::of_memory(memory.pages);
    for run in &memory.runs {
        order.accept(run.first, run.count, run.data == PageData::Zero)?;
    }
    runs(memory)?;
    memory.runs.iter().try_for_each(|run| match &run.data {
        PageData::Bytes(bytes) if bytes.len() < PARALLEL_BYTES => no_zero_page(bytes),
        // The writer looks at what it hashes anyway.
        _ => Ok(()),
    })
}

/// That the runs are within the memory and apart, and their bytes are those of their pages.
pub(super) fn runs(memory: &MemoryState<'_>) -> Rule {
    memory_size(memory.pages)?;
    let mut order = RunOrder::of_memory(memory.pages);
    for run in &memory.runs {
        order.zero = None;
        order.accept(run.first, run.count, false)?;
        if let PageData::Bytes(bytes) = &run.data {
            run_length(run.count, bytes.len() as u64)?;
        }
    }
    Ok(())
}

/// 2^48 pages of 64 KiB would be 2^64 bytes; below that, no size in bytes overflows.
pub(super) fn memory_size(pages: u64) -> Rule {
    require(pages < 1 << 48, "a memory's size is beyond 64 bits")
}

pub(super) fn run_length(count: u64, bytes: u64) -> Rule {
    let same = count.checked_mul(PAGE_BYTES as u64) == Some(bytes);
    require(same, "a page run's bytes are not those of its pages")
}

pub(super) fn no_zero_page(bytes: &[u8]) -> Rule {
    let found = bytes.chunks(PAGE_BYTES).any(is_zero);
    require(!found, "a zero page is stored as bytes")
}

fn table(table: &TableState) -> Rule {
    let mut order = RunOrder::of_table(table.size);
    table.runs.iter().try_for_each(|run| order.accept(run.first, run.elements.len() as u64, false))
}

/// Runs are ascending and apart, inside their memory or table, and as few as possible.
pub(super) struct RunOrder {
    /// Number of pages or elements.
    size: u64,
    /// End of the run before.
    end: u64,
    /// Whether the run before is of zero pages; `None` before the first run.
    zero: Option<bool>,
}

impl RunOrder {
    pub fn of_memory(pages: u64) -> RunOrder {
        let size = pages.saturating_mul(WASM_PAGE_BYTES / PAGE_BYTES as u64);
        RunOrder { size, end: 0, zero: None }
    }

    pub fn of_table(size: u64) -> RunOrder {
        RunOrder { size, end: 0, zero: None }
    }

    pub fn accept(&mut self, first: u64, count: u64, zero: bool) -> Rule {
        require(count > 0, "a run is empty")?;
        require(first >= self.end, "runs overlap or are out of order")?;
        let mergeable = self.zero == Some(zero) && first == self.end;
        require(!mergeable, "two runs could be one")?;
        let end = first.checked_add(count).filter(|&end| end <= self.size);
        self.end = end.ok_or("a run goes beyond the end")?;
        self.zero = Some(zero);
        Ok(())
    }
}

fn indexed(values: &[(u32, Value)]) -> Rule {
    all_ascending(values.iter().map(|&(index, _)| index))
}

fn all_ascending(indices: impl IntoIterator<Item = u32>) -> Rule {
    let mut previous = None;
    indices.into_iter().try_for_each(|index| ascending(previous.replace(index), index))
}

pub(super) fn ascending(previous: Option<u32>, index: u32) -> Rule {
    require(previous.is_none_or(|previous| previous < index), "indices are not ascending")
}

/// Text keys in the deterministic order: a shorter one has the lesser head.
fn name_key(name: &str) -> (usize, &str) {
    (name.len(), name)
}

pub(super) fn sorted_names<T>(named: &[(String, T)]) -> Vec<&(String, T)> {
    let mut sorted: Vec<_> = named.iter().collect();
    sorted.sort_by_key(|(name, _)| name_key(name));
    sorted
}

pub(super) fn unique_names<T>(named: &[(String, T)]) -> Rule {
    sorted_names(named)
        .windows(2)
        .try_for_each(|pair| names_ascending(Some(&pair[0].0), &pair[1].0))
}

pub(super) fn names_ascending(previous: Option<&str>, name: &str) -> Rule {
    let ascending = previous.is_none_or(|previous| name_key(previous) < name_key(name));
    require(ascending, "names are not unique and sorted")
}
