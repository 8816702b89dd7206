//! Time, as tasklets wait for it.

use super::{Clock, Scheduler, TaskletId};
use crate::error::Error;

impl Scheduler {
    /// Measures time by that clock from now on; those that wait for time wait as long as they would
    /// have. Unless set it is a [`MonotonicClock`](crate::MonotonicClock), and of a
    /// [`deterministic`](crate::EngineOptions::deterministic) engine a
    /// [`VirtualClock`](super::VirtualClock).
    pub fn set_clock(&mut self, clock: impl Clock + 'static) {
        let old_ns = self.clock.now_ns();
        self.clock = Box::new(clock);
        let new_ns = self.clock.now_ns();
        self.core.change_clock(old_ns, new_ns);
    }

    /// Nanoseconds until the first is due of those that sleep or wait with a timeout.
    pub fn next_due_ns(&mut self) -> Option<u64> {
        self.left_ns()
    }

    pub(super) fn left_ns(&mut self) -> Option<u64> {
        let due_ns = self.core.next_due_ns()?;
        Some(due_ns.saturating_sub(self.clock.now_ns()))
    }

    /// Notes in a tasklet how much of its time it has still to wait, as a snapshot of it has to say.
    pub(super) fn note_left(&mut self, id: TaskletId) {
        if self.core.due_ns(id).is_some() {
            let now_ns = self.clock.now_ns();
            self.note_left_at(id, now_ns);
        }
    }

    /// The same for all of them, at one time: what is due at once stays due at once.
    pub(super) fn note_all_left(&mut self) {
        let now_ns = self.clock.now_ns();
        let timed: Vec<TaskletId> = self.core.timed().collect();
        for id in timed {
            self.note_left_at(id, now_ns);
        }
    }

    fn note_left_at(&mut self, id: TaskletId, now_ns: u64) {
        let Some(due_ns) = self.core.due_ns(id) else { return };
        if let Ok(seat) = self.seat(id)
            && let Some(ns) = seat.asked.as_mut().and_then(|asked| asked.left_ns())
        {
            *ns = due_ns.saturating_sub(now_ns);
        }
    }

    /// One that waits on a channel without having asked again waits no longer than it has noted.
    pub(super) fn limit_wait(&mut self, id: TaskletId) -> Result<(), Error> {
        let left_ns = self.seat(id)?.asked.as_mut().and_then(|asked| asked.left_ns()).copied();
        if let Some(left_ns) = left_ns {
            let due_ns = self.clock.now_ns().saturating_add(left_ns);
            self.core.limit_wait(id, due_ns);
        }
        Ok(())
    }
}
