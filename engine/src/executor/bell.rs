//! What workers wait for that have nothing to run.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Wake;
use std::time::Duration;
use std::{sync::Arc, thread};

/// NB: whoever holds its lock waits for no other. So host imports can ring it wherever they come back,
/// even below the crew's lock.
#[derive(Default)]
pub(super) struct Bell {
    lock: Mutex<()>,
    rung: Condvar,
}

impl Bell {
    /// Until this is given to [`wait`](Bell::wait) nobody rings.
    pub(super) fn hold(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until somebody rings, or for that long.
    pub(super) fn wait(&self, held: MutexGuard<'_, ()>, most: Option<Duration>) {
        // Whether that is over, or it was poisoned, is all the same.
        match most {
            Some(most) if most.is_zero() => {
                drop(held);
                thread::yield_now();
            }
            Some(most) => drop(self.rung.wait_timeout(held, most)),
            None => drop(self.rung.wait(held)),
        }
    }

    /// Wakes one who waits. NB: that costs a system call, even if nobody does.
    pub(super) fn ring(&self) {
        drop(self.hold());
        self.rung.notify_one();
    }

    pub(super) fn ring_for_all(&self) {
        drop(self.hold());
        self.rung.notify_all();
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}
