//! `tasklet inspect`: shows what a snapshot holds, without running or compiling anything.

mod json;
mod text;

use std::ops::Range;

use anyhow::Result;
use tasklet_engine::snapshot::{Frame, MemoryState, PageData, PauseReason, Position, Status};
use tasklet_engine::wasi::WasiState;
use tasklet_engine::{Digest, ModuleCache, Snapshot};

use crate::args::{Format, Inspect};
use crate::load;
use crate::names::Names;
use crate::output;

/// A snapshot as its file has it.
struct Loaded<'a> {
    snapshot: Snapshot<'a>,
    digest: Digest,
    bytes: u64,
    version: u64,
}

/// What is known of a snapshot.
struct View<'a> {
    loaded: Loaded<'a>,
    /// Names of the original module, if it is at hand.
    names: Option<Names>,
    /// The state of the guest's system, if it has one and we understand it.
    wasi: Option<WasiState>,
    /// How many frames are to be shown.
    frames: Option<usize>,
}

/// Shows it; the exit code.
///
/// # Errors
/// When the snapshot, or the module given with it, cannot be read.
pub fn inspect(args: &Inspect) -> Result<i32> {
    let limits = load::limits(args.max_memory, None);
    let file = load::snapshot_alone(&args.snapshot, &limits)?;
    let name = load::shown(&args.snapshot);
    let (snapshot, digest) = file.snapshot(&limits).map_err(|error| load::unread(&name, error))?;
    let loaded = Loaded { snapshot, digest, bytes: file.bytes(), version: file.version() };
    let cache = ModuleCache::user().ok();
    let original = load::original(&loaded.snapshot, args.module.as_deref(), cache.as_ref())?;
    let names = original.as_deref().map(Names::of_module);
    let state = loaded.snapshot.host.iter().find(|(name, _)| name == WASI);
    let wasi = state.and_then(|(_, value)| value.deserialized().ok());
    let frames = args.frames;
    let view = View { loaded, names, wasi, frames };
    output::print(&match args.format {
        Format::Text => text::render(&view),
        Format::Json => format!("{:#}\n", json::render(&view)),
    })?;
    Ok(0)
}

/// The namespace of the guest's system in a snapshot.
const WASI: &str = "wasi_snapshot_preview1";

impl View<'_> {
    fn function(&self, index: u32) -> Option<&str> {
        self.names.as_ref()?.function(index)
    }

    fn local(&self, function: u32, local: u32) -> Option<&str> {
        self.names.as_ref()?.local(function, local)
    }

    /// Which of so many lines are left out when some `shown` of them are to be shown: as many from
    /// the end as make a ninth.
    fn left_out(lines: usize, shown: usize) -> Range<usize> {
        let outermost = shown / 9;
        let innermost = shown - outermost;
        innermost.min(lines)..lines.saturating_sub(outermost).max(innermost.min(lines))
    }

    /// The frames, innermost first.
    fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.loaded.snapshot.frames.iter().rev()
    }
}

/// The state in a word, and why it is so if it is paused.
fn status(status: &Status) -> (&'static str, Option<&'static str>) {
    match status {
        Status::Paused { reason: PauseReason::OutOfBudget } => ("paused", Some("out-of-budget")),
        Status::Paused { reason: PauseReason::Requested } => ("paused", Some("requested")),
        Status::Paused { reason: PauseReason::Waiting } => ("paused", Some("waiting")),
        Status::Finished { .. } => ("finished", None),
        Status::Exited { .. } => ("exited", None),
        Status::Trapped { .. } => ("trapped", None),
    }
}

/// Where a frame stands: the kind of place, and its byte offset in the module.
fn position(position: Position) -> (&'static str, Option<u32>) {
    match position {
        Position::Entry => ("entry", None),
        Position::Loop { offset } => ("loop", Some(offset)),
        Position::Call { offset } => ("call", Some(offset)),
        Position::Import => ("import", None),
    }
}

/// Pages of a memory that differ from its beginning: all of them, and those that are zero now.
fn differing_pages(memory: &MemoryState<'_>) -> (u64, u64) {
    let count = |runs: &mut dyn Iterator<Item = u64>| runs.fold(0u64, u64::saturating_add);
    let all = count(&mut memory.runs.iter().map(|run| run.count));
    let zero = memory.runs.iter().filter(|run| matches!(run.data, PageData::Zero));
    (all, count(&mut zero.map(|run| run.count)))
}
