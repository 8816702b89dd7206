//! What other threads can do with a tasklet that runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tasklet_instrumenter::Metadata;

use crate::error::Error;

/// The part of a tasklet that other threads see.
#[derive(Debug)]
pub(crate) struct Shared {
    metadata: Arc<Metadata>,
    interrupt: AtomicBool,
    /// 0, or 1 + the number of the import of the embedder's that is on the native stack.
    inside: AtomicU32,
}

impl Shared {
    pub(crate) fn new(metadata: Arc<Metadata>) -> Shared {
        Shared { metadata, interrupt: AtomicBool::new(false), inside: AtomicU32::new(0) }
    }

    pub(crate) fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// Whether an interrupt was asked for; it is answered by this.
    pub(crate) fn take_interrupt(&self) -> bool {
        self.interrupted() && self.interrupt.swap(false, Ordering::Relaxed)
    }

    /// Notes that an import begins; what it returns goes to [`leave`](Shared::leave).
    pub(crate) fn enter(&self, import: u32) -> u32 {
        self.inside.swap(import.saturating_add(1), Ordering::Relaxed)
    }

    pub(crate) fn leave(&self, outer: u32) {
        self.inside.store(outer, Ordering::Relaxed);
    }
}

/// Reaches a tasklet from other threads, and from signal handlers; cheap to clone.
#[derive(Debug, Clone)]
pub struct TaskletHandle {
    shared: Arc<Shared>,
}

impl TaskletHandle {
    pub(super) fn new(shared: Arc<Shared>) -> TaskletHandle {
        TaskletHandle { shared }
    }

    /// Makes the current run, or else the next, return
    /// [`Outcome::Interrupted`](crate::Outcome::Interrupted) at its next look at the flag.
    pub fn interrupt(&self) {
        self.shared.interrupt.store(true, Ordering::Relaxed);
    }

    /// Asks for the tasklet to be paused so that it can be snapshotted; as
    /// [`interrupt`](TaskletHandle::interrupt), but refused while it cannot be.
    ///
    /// # Errors
    /// [`Error::InsideHostImport`] while an import of the embedder's is on the native stack.
    pub fn request_snapshot(&self) -> Result<(), Error> {
        let inside = self.shared.inside.load(Ordering::Relaxed).checked_sub(1);
        let Some(import) = inside else {
            self.interrupt();
            return Ok(());
        };
        let name = self.shared.metadata.imports.get(import as usize);
        let import = name.map(|(module, name)| format!("{module}::{name}")).unwrap_or_default();
        Err(Error::InsideHostImport { import, backtrace: Vec::new() })
    }
}
