//! A tasklet: an instance, its continuation and its host-side state.

mod call;
mod fork;
mod frames;
mod handle;
mod remains;
mod run;
mod spawn;
mod waiting;

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use tasklet_instrumenter::{Place, PointKind};
use wasmtime::Store;

pub(crate) use frames::{
    RawFrame, add_paused_frames, grow_for, prepaid, push_call, push_frame, read, walk,
};
pub use handle::TaskletHandle;
pub(crate) use handle::{Shared, interrupts};
pub(crate) use remains::Remains;
pub(crate) use run::Ran;
pub(crate) use spawn::instantiate;
pub use waiting::Wait;

use crate::error::Error;
use crate::module::Module;
use crate::snapshot::{Digest, PauseReason, Profile};
use crate::state::{Exports, State};
use crate::trap::Trap;
use crate::value::Value;

/// What a tasklet begins with.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// The export `_start`, as commands have it.
    Command,
    /// An exported function, with arguments. If the module exports `_initialize` too (a *reactor*),
    /// that is called before.
    Invoke {
        /// The export's name.
        name: String,
        /// Its arguments.
        args: Vec<Value>,
    },
    /// Only what comes before the first call: the module's start function, and a reactor's
    /// `_initialize`. Exports are called afterwards, by [`Tasklet::call`].
    Start,
}

impl Entry {
    /// An exported function, with arguments: `Entry::invoke("gcd", [12.into(), 18.into()])`.
    pub fn invoke(name: impl Into<String>, args: impl Into<Vec<Value>>) -> Entry {
        Entry::Invoke { name: name.into(), args: args.into() }
    }
}

/// Why [`Tasklet::run`] returned.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The call being made returned these values.
    Finished(Vec<Value>),
    /// The guest exited with this code.
    Exited(u32),
    /// The budget could not pay for what comes next.
    OutOfBudget,
    /// The guest waits, for the system or for a host import: see [`Tasklet::wait`] and
    /// [`Tasklet::poll_wait`]. The next run asks again.
    Waiting(Wait),
    /// The guest asks its scheduler for something, which only
    /// [`Scheduler::run`](crate::Scheduler::run) can answer. The next run asks again.
    Asks,
    /// The guest trapped.
    Trapped(Trap),
    /// Somebody asked for it through a [`TaskletHandle`].
    Interrupted,
}

/// Where a tasklet stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// It can go on; the reason is why it stands still.
    Paused(PauseReason),
    /// The call made last returned these values. [`Tasklet::call`] makes the next.
    Finished(Vec<Value>),
    /// The guest exited with this code.
    Exited(u32),
    /// The guest trapped.
    Trapped(Trap),
}

impl Status {
    /// The outcome of running a tasklet that has ended; `None` if it has not.
    pub(crate) fn ended(&self) -> Option<Outcome> {
        match self {
            Status::Paused(_) => None,
            Status::Finished(results) => Some(Outcome::Finished(results.clone())),
            Status::Exited(code) => Some(Outcome::Exited(*code)),
            Status::Trapped(trap) => Some(Outcome::Trapped(trap.clone())),
        }
    }
}

/// One paused activation of a function, for people to look at.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameView {
    /// Index of the function in the original module.
    pub function: u32,
    /// Its name in the name section.
    pub name: Option<String>,
    /// What kind of place it is paused at.
    pub kind: PointKind,
    /// Byte offset of the place in the original module; 0 for imports.
    pub offset: u32,
    /// The live values: locals, then operands.
    pub values: Vec<(Place, Value)>,
}

/// A guest program that can be paused at any time, and while it is, snapshotted.
pub struct Tasklet {
    pub(crate) module: Module,
    pub(crate) store: Store<State>,
    pub(crate) exports: Arc<Exports>,
    /// The call being made, or made last; `None` before the first.
    pub(crate) entry: Option<Started>,
    /// Calls still to be made once no frame is left, in order.
    pub(crate) queue: VecDeque<PendingCall>,
    /// A function with the result types of the call being made.
    pub(crate) current: u32,
    pub(crate) status: Status,
    pub(crate) waiting: Option<Wait>,
    /// Steps charged so far. Some may be for code that paused frames have still to run: the steps
    /// *used* are this minus what is prepaid.
    pub(crate) charged: u64,
    /// The fuel left, with the same reservation.
    pub(crate) fuel: i64,
    /// The count of charged steps at which the run is cut next; see [`Pace`](crate::pace::Pace).
    pub(crate) cut: u64,
    /// The cut up to which there is room for frames, if it is the next.
    pub(crate) roomy_until: u64,
    pub(crate) parent: Option<Digest>,
}

/// What was started: an export, and its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Started {
    pub(crate) export: String,
    pub(crate) args: Vec<Value>,
}

/// A function of the original module still to be called.
#[derive(Debug, Clone)]
pub(crate) struct PendingCall {
    pub(crate) function: u32,
    pub(crate) args: Vec<Value>,
}

impl Tasklet {
    /// Where it stands.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The module it runs.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// Steps executed so far. Exact, save after a trap: then it is the last count known.
    ///
    /// # Errors
    /// [`Error::Internal`] when the frames cannot be read.
    pub fn steps_used(&mut self) -> Result<u64, Error> {
        Ok(self.charged.saturating_sub(prepaid(&mut self.store)?))
    }

    /// Steps granted but not used: credit, or if negative debt.
    ///
    /// # Errors
    /// As [`steps_used`](Tasklet::steps_used).
    pub fn balance(&mut self) -> Result<i64, Error> {
        Ok(self.fuel.saturating_add_unsigned(prepaid(&mut self.store)?))
    }

    /// Steps granted so far, without those returned unspent: steps used plus balance.
    pub fn granted(&self) -> u64 {
        self.charged.saturating_add_signed(self.fuel)
    }

    /// The limits of a deterministic run; `None` if the engine is not
    /// [`deterministic`](crate::EngineOptions::deterministic).
    pub fn profile(&self) -> Option<Profile> {
        let options = self.module.engine().options();
        let limits = &self.store.data().limiter.limits;
        options.deterministic.then_some(Profile {
            stack_bytes: limits.stack_bytes,
            memory_bytes: limits.memory_bytes,
            callback_steps: limits.callback_steps,
            table_elements: limits.table_elements,
            reference_heap_bytes: options.reference_heap_bytes,
        })
    }

    /// The continuation, innermost frame first.
    ///
    /// # Errors
    /// [`Error::Internal`] when the frames cannot be read, [`Error::Unsupported`] when they hold a
    /// reference that is not to a function of the module.
    pub fn backtrace(&mut self) -> Result<Vec<FrameView>, Error> {
        let frames = walk(&mut self.store)?;
        let mut views = Vec::with_capacity(frames.len());
        for frame in frames {
            let mut values = read(&mut self.store, &frame)?;
            values.sort_by_key(|(place, _)| *place);
            let metadata = self.module.metadata();
            let point = &metadata.points[frame.point as usize];
            views.push(FrameView {
                function: point.function,
                name: metadata.functions[point.function as usize].name.clone(),
                kind: point.kind,
                offset: point.offset,
                values,
            });
        }
        Ok(views)
    }

    /// Index and current size in bytes of every memory.
    pub fn memories(&self) -> Vec<(u32, u64)> {
        let infos = self.module.metadata().memories.iter();
        let sizes = self.exports.memories.iter().map(|m| m.data_size(&self.store) as u64);
        infos.map(|info| info.index).zip(sizes).collect()
    }

    /// A handle by which other threads reach it while it runs.
    pub fn handle(&self) -> TaskletHandle {
        TaskletHandle::new(self.store.data().shared.clone())
    }

    /// The data given to [`HostBuilder::user`](crate::HostBuilder::user), if it has that type.
    pub fn user<T: Any>(&self) -> Option<&T> {
        self.store.data().user.downcast_ref()
    }

    /// The same, to change.
    pub fn user_mut<T: Any>(&mut self) -> Option<&mut T> {
        self.store.data_mut().user.downcast_mut()
    }
}

impl std::fmt::Debug for Tasklet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasklet")
            .field("module", &self.module)
            .field("entry", &self.entry)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
