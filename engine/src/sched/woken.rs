//! Those that wait for host imports, and have news.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::core::Place;
use super::{Scheduler, TaskletId};

/// Who has been woken. Imports come back on any thread, so this is shared with their wakers.
#[derive(Debug, Default, Clone)]
pub(crate) struct Woken {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Whether there are any: this is asked at every turn.
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ids: Vec<TaskletId>,
    /// Who is to be told.
    waker: Option<Waker>,
}

/// The waker of one tasklet.
struct WakeOne {
    id: TaskletId,
    shared: Arc<Shared>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for WakeOne {
    fn wake(self: Arc<Self>) {
        let waker = {
            let mut state = self.shared.lock();
            state.ids.push(self.id);
            self.shared.any.store(true, Ordering::Release);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Woken {
    pub(crate) fn any(&self) -> bool {
        self.shared.any.load(Ordering::Acquire)
    }

    fn waker(&self, id: TaskletId) -> Waker {
        Waker::from(Arc::new(WakeOne { id, shared: self.shared.clone() }))
    }

    /// All of them, who are no news any more.
    fn take(&self) -> Vec<TaskletId> {
        let mut state = self.shared.lock();
        self.shared.any.store(false, Ordering::Release);
        std::mem::take(&mut state.ids)
    }
}

impl Scheduler {
    /// Whether a tasklet that waits for a host import has news, so that a run is worth while; also
    /// if none waits. Otherwise the context's waker is woken when one has: an embedder that is
    /// asynchronous itself runs, and awaits `std::future::poll_fn(|cx| sched.poll_waiting(cx))`.
    ///
    /// Those that wait for the system wake nobody: see
    /// [`Tasklet::poll_wait`](crate::Tasklet::poll_wait).
    pub fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.woken.shared.lock();
        if self.woken.any() || self.core.outside().next().is_none() {
            return Poll::Ready(());
        }
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// One that has run waits for the system, or for a host import that will wake it.
    pub(super) fn wait_outside(&mut self, id: TaskletId) {
        self.core.wait_outside(id);
        let waker = self.woken.waker(id);
        if let Some(member) = self.tasklets.get_mut(&id) {
            member.tasklet.wake_by(waker);
        }
    }

    /// Those that wait outside ask again, at the beginning of a run.
    pub(super) fn ask_all_again(&mut self) {
        self.woken.take();
        self.core.ask_outside_again();
    }

    /// Those that have been woken ask again, behind all that are ready.
    pub(super) fn ask_woken_again(&mut self) {
        for id in self.woken.take() {
            if self.core.place(id) == Some(Place::Outside) {
                self.core.requeue(id);
            }
        }
    }
}
