//! Time, as tasklets wait for it.

use std::collections::BTreeSet;

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

    /// Notes in a tasklet how much of its time it has still to wait, and how its channels are, as a
    /// snapshot of it has to say.
    pub(super) fn note_left(&mut self, id: TaskletId) {
        self.note_made(id);
        if self.core.due_ns(id).is_some() {
            let now_ns = self.clock.now_ns();
            self.note_left_at(id, now_ns, 0);
        }
    }

    /// The same for all of these, at one time, and whose turn it is first of those due at once.
    pub(super) fn note_all_left(&mut self, tasklets: &BTreeSet<TaskletId>) {
        tasklets.iter().for_each(|id| self.note_made(*id));
        let now_ns = self.clock.now_ns();
        let timed: Vec<TaskletId> = self.core.timed().filter(|id| tasklets.contains(id)).collect();
        let mut before: Option<(u64, u64)> = None;
        for id in timed {
            let left_ns = self.core.due_ns(id).map_or(0, |due_ns| due_ns.saturating_sub(now_ns));
            let turn = before.filter(|(left, _)| *left == left_ns).map_or(0, |(_, turn)| turn + 1);
            before = Some((left_ns, turn));
            self.note_left_at(id, now_ns, turn);
        }
    }

    fn note_left_at(&mut self, id: TaskletId, now_ns: u64, turn: u64) {
        let Some(due_ns) = self.core.due_ns(id) else { return };
        if let Ok(seat) = self.seat(id)
            && let Some(ns) = seat.asked.as_mut().and_then(|asked| asked.left_ns())
        {
            *ns = due_ns.saturating_sub(now_ns);
            seat.turn = turn;
        }
    }

    /// Those of these that wait for time, without having asked again, wait no longer than they have
    /// noted, all from one time on; those due at once end their waits in the order that was noted.
    pub(super) fn limit_waits(&mut self, tasklets: &[TaskletId]) -> Result<(), Error> {
        let now_ns = self.clock.now_ns();
        let mut timed: Vec<(u64, u64, TaskletId)> = Vec::new();
        for id in tasklets {
            let seat = self.seat(*id)?;
            let turn = seat.turn;
            if let Some(left_ns) = seat.asked.as_mut().and_then(|asked| asked.left_ns()) {
                timed.push((*left_ns, turn, *id));
            }
        }
        // NB: stable, for a forged set may say one turn twice.
        timed.sort_by_key(|(left_ns, turn, _)| (*left_ns, *turn));
        for (left_ns, _, id) in timed {
            self.core.limit_wait(id, now_ns.saturating_add(left_ns));
        }
        Ok(())
    }
}
