//! What other threads can do with a tasklet that runs.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tasklet_instrumenter::Metadata;

use crate::error::Error;
use crate::host::{import_name, way_out};
use crate::trap::TrapFrame;

/// How many interrupts were asked for in this process, of whichever tasklets. NB: one number for all,
/// because a signal handler can neither lock nor allocate.
static INTERRUPTS: AtomicU64 = AtomicU64::new(0);

/// How many interrupts were asked for so far. Who finds this unchanged need not look for one.
pub(crate) fn interrupts() -> u64 {
    INTERRUPTS.load(Ordering::Acquire)
}

/// The part of a tasklet that other threads see.
#[derive(Debug)]
pub(crate) struct Shared {
    metadata: Arc<Metadata>,
    interrupt: AtomicBool,
    /// 0, or 1 + the number of the import of the embedder's that is on the native stack.
    inside: AtomicU32,
    /// 0, or 1 + the number of the import that is pending, and cannot be issued again.
    pending: AtomicU32,
    /// The guest's frames below that import, if it is to be known to others.
    backtrace: Mutex<Vec<TrapFrame>>,
}

impl Shared {
    pub(crate) fn new(metadata: Arc<Metadata>) -> Shared {
        Shared {
            metadata,
            interrupt: AtomicBool::new(false),
            inside: AtomicU32::new(0),
            pending: AtomicU32::new(0),
            backtrace: Mutex::default(),
        }
    }

    pub(crate) fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// Whether an interrupt was asked for; it is answered by this.
    pub(crate) fn take_interrupt(&self) -> bool {
        self.interrupted() && self.interrupt.swap(false, Ordering::Relaxed)
    }

    /// Notes that an import begins; what it returns goes to [`leave`](Shared::leave). Nobody else
    /// writes it, so there is no need of an exchange, which takes longer.
    pub(crate) fn enter(&self, import: u32) -> u32 {
        let outer = self.inside.load(Ordering::Relaxed);
        self.leave(import.saturating_add(1));
        outer
    }

    pub(crate) fn leave(&self, outer: u32) {
        self.inside.store(outer, Ordering::Relaxed);
    }

    /// Notes that no import is on the native stack or pending any more; the one that was, if any.
    pub(crate) fn leave_all(&self) -> Option<u32> {
        self.set_pending(None);
        self.inside.swap(0, Ordering::Relaxed).checked_sub(1)
    }

    /// Notes which import is pending that cannot be issued again.
    pub(crate) fn set_pending(&self, import: Option<u32>) {
        let number = import.map_or(0, |import| import.saturating_add(1));
        self.pending.store(number, Ordering::Relaxed);
    }

    pub(crate) fn set_backtrace(&self, backtrace: Vec<TrapFrame>) {
        *self.backtrace.lock().unwrap_or_else(PoisonError::into_inner) = backtrace;
    }

    /// Why no snapshot can be made now, if none can.
    fn refusal(&self) -> Option<Error> {
        let inside = self.inside.load(Ordering::Relaxed).checked_sub(1);
        let pending = self.pending.load(Ordering::Relaxed).checked_sub(1);
        let (import, way_out) = match (inside, pending) {
            (Some(import), _) => (import, way_out::RUNNING),
            (None, Some(import)) => (import, way_out::PENDING),
            (None, None) => return None,
        };
        let import = import_name(&self.metadata, import);
        let backtrace = self.backtrace.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(Error::InsideHostImport { import, backtrace, way_out })
    }
}

/// Reaches a tasklet from other threads, and from signal handlers; cheap to clone.
#[derive(Debug, Clone)]
pub struct TaskletHandle {
    shared: Arc<Shared>,
}

impl TaskletHandle {
    pub(crate) fn new(shared: Arc<Shared>) -> TaskletHandle {
        TaskletHandle { shared }
    }

    /// Makes the current run, or else the next, return
    /// [`Outcome::Interrupted`](crate::Outcome::Interrupted) at its next look at the flag.
    pub fn interrupt(&self) {
        self.shared.interrupt.store(true, Ordering::Relaxed);
        INTERRUPTS.fetch_add(1, Ordering::Release);
    }

    /// Takes back what nothing has been done about yet.
    pub(crate) fn take_back(&self) {
        self.shared.take_interrupt();
    }

    /// Asks for the tasklet to be paused so that it can be snapshotted; as
    /// [`interrupt`](TaskletHandle::interrupt), but refused while it cannot be. Not for signal
    /// handlers: those interrupt.
    ///
    /// # Errors
    /// [`Error::InsideHostImport`] while an import of the embedder's is on the native stack, or
    /// pending without being restartable. Nothing has changed then, and it can be asked again.
    pub fn request_snapshot(&self) -> Result<(), Error> {
        match self.shared.refusal() {
            Some(refusal) => Err(refusal),
            None => {
                self.interrupt();
                Ok(())
            }
        }
    }
}
