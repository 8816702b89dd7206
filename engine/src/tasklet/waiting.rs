//! What a paused tasklet waits for, and waiting for it.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Tasklet;
use crate::host::{Deliver, delivered, import_name};
use crate::value::Value;
use crate::wasi;

/// What a tasklet waits for.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// A clock, or standard input.
    System(wasi::Wait),
    /// A host import of the embedder's: see
    /// [`HostBuilder::suspending`](crate::HostBuilder::suspending) and
    /// [`HostBuilder::restartable`](crate::HostBuilder::restartable).
    Import {
        /// `module::name` of the import.
        import: String,
        /// Whether it is safe to issue again, so that the tasklet can be snapshotted meanwhile.
        restartable: bool,
    },
}

impl Tasklet {
    /// What it waits for, after [`Outcome::Waiting`](crate::Outcome::Waiting).
    pub fn waiting(&self) -> Option<&Wait> {
        self.waiting.as_ref()
    }

    /// Blocks until what the tasklet waits for is there, or somebody interrupts it through a
    /// [`TaskletHandle`](crate::TaskletHandle) (the next run then returns
    /// [`Outcome::Interrupted`](super::Outcome::Interrupted)). Returns at once if it waits for nothing.
    pub fn wait(&mut self) {
        match &self.waiting {
            None => {}
            Some(Wait::System(wait)) => {
                let state = self.store.data_mut();
                if let Some(wasi) = &mut state.wasi {
                    let shared = &state.shared;
                    wasi.block_on(wait, &|| shared.interrupted());
                }
            }
            Some(Wait::Import { .. }) => {
                let state = self.store.data_mut();
                if let Some(issued) = &mut state.issued {
                    let shared = &state.shared;
                    issued.block_on(&|| shared.interrupted());
                }
            }
        }
    }

    /// Whether what the tasklet waits for is there, so that running it is worth while; also if it
    /// waits for nothing.
    ///
    /// Of a host import the context's waker is woken when it is. For the system nobody is woken:
    /// [`time_left`](Tasklet::time_left) says when to ask again, and input has to be watched by
    /// whoever gave it, or waited for on a thread by [`wait`](Tasklet::wait). So an embedder that is
    /// asynchronous itself awaits `std::future::poll_fn(|cx| tasklet.poll_wait(cx))`.
    pub fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let state = self.store.data_mut();
        let ready = match &self.waiting {
            None => true,
            Some(Wait::System(wait)) => state.wasi.as_mut().is_none_or(|wasi| wasi.is_ready(wait)),
            Some(Wait::Import { .. }) => {
                state.issued.as_mut().is_none_or(|issued| issued.poll_for(cx.waker()))
            }
        };
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Has the host import that is pending come to this, instead of what it awaits, whose future is
    /// dropped: to give up on it after a time, say, by a [`Delivery`](crate::Delivery) that returns
    /// an error or throws. The guest is told when it runs. `false` if nothing is pending, or what it
    /// awaits is there.
    pub fn answer_import(&mut self, delivery: impl Deliver<Results = Vec<Value>>) -> bool {
        let issued = self.store.data_mut().issued.as_mut();
        issued.is_some_and(|issued| issued.answer(delivered(delivery)))
    }

    /// How long until a wait for the system is over by its deadline, if it has one.
    pub fn time_left(&self) -> Option<Duration> {
        let Some(Wait::System(wait)) = &self.waiting else { return None };
        self.store.data().wasi.as_ref()?.time_left(wait)
    }

    /// Has that waker woken when there are news of the host import that is pending, or at once if
    /// there are.
    pub(crate) fn wake_by(&mut self, waker: Waker) {
        if let Some(issued) = &mut self.store.data_mut().issued {
            issued.wake_by(waker);
        }
    }

    /// Whether a host import has been issued.
    pub(super) fn is_awaiting(&self) -> bool {
        self.store.data().issued.is_some()
    }

    /// Whether a host import has been issued that has not been delivered: without this instance
    /// nobody would be there to await it.
    pub(crate) fn holds_import(&self) -> bool {
        self.store.data().issued.as_ref().is_some_and(|issued| issued.is_here())
    }

    /// Polls the host import that is pending. `None` if the guest can go on: then what the import
    /// came to is delivered, or it is issued, when the guest runs.
    pub(super) fn poll_import(&mut self) -> Option<Wait> {
        match self.store.data_mut().issued.as_mut()?.poll() {
            true => None,
            false => self.import_awaited(),
        }
    }

    /// The host import that is pending, as what is waited for.
    pub(super) fn import_awaited(&self) -> Option<Wait> {
        let state = self.store.data();
        let issued = state.issued.as_ref()?;
        let import = import_name(&state.metadata, issued.function());
        Some(Wait::Import { import, restartable: issued.is_restartable() })
    }

    /// Gives up what is pending: the guest has ended.
    pub(super) fn forget_import(&mut self) {
        let state = self.store.data_mut();
        if state.issued.take().is_some() {
            state.shared.set_pending(None);
        }
    }
}
