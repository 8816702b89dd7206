//! Those that wait for time, and those that have others run.

use super::{Core, Due, Place};
use crate::sched::TaskletId;
use crate::sched::queue::Slot;
use crate::sched::watchers::Watcher;

impl Core {
    /// One that runs, or is paused, waits until then.
    pub(crate) fn sleep(&mut self, id: TaskletId, due_ns: u64) {
        if let Some(slot) = self.nodes.find(id) {
            self.detach(slot);
            self.set_timer(slot, due_ns);
            self.put(slot, Place::Sleeping);
        }
    }

    pub(super) fn set_timer(&mut self, slot: Slot, due_ns: u64) {
        self.cancel_timer(slot);
        let timer = self.timers.set(slot, due_ns);
        self.nodes.get_mut(slot).timer = Some(Box::new(timer));
    }

    pub(super) fn cancel_timer(&mut self, slot: Slot) {
        if let Some(timer) = self.nodes.get_mut(slot).timer.take() {
            self.timers.cancel(*timer);
        }
    }

    pub(crate) fn has_timers(&self) -> bool {
        !self.timers.is_empty()
    }

    /// When the first is due.
    pub(crate) fn next_due_ns(&self) -> Option<u64> {
        self.timers.first().map(|(due_ns, _)| due_ns)
    }

    /// When the wait of this one ends.
    pub(crate) fn due_ns(&self, id: TaskletId) -> Option<u64> {
        let timer = self.nodes.get(self.nodes.find(id)?).timer.as_deref()?;
        Some(timer.due_ns())
    }

    /// Those that wait for time, the first who is due first.
    pub(crate) fn timed(&self) -> impl Iterator<Item = TaskletId> {
        self.timers.iter().map(|slot| self.nodes.id(slot))
    }

    /// Those that wait for time alone, the first who is due first.
    pub(crate) fn sleeping(&self) -> impl Iterator<Item = TaskletId> {
        self.timed().filter(|id| self.place(*id) == Some(Place::Sleeping))
    }

    /// One that sleeps, or waits on a channel, waits until then and no longer.
    pub(crate) fn limit_wait(&mut self, id: TaskletId, due_ns: u64) {
        if let Some(slot) = self.nodes.find(id)
            && matches!(self.nodes.get(slot).place, Place::Blocked(..) | Place::Sleeping)
        {
            self.set_timer(slot, due_ns);
        }
    }

    /// Makes the first ready whose time has come.
    pub(crate) fn pop_due(&mut self, now_ns: u64) -> Option<Due> {
        let (_, slot) = self.timers.first().filter(|(due_ns, _)| *due_ns <= now_ns)?;
        let slept = self.nodes.get(slot).place == Place::Sleeping;
        self.make_ready(slot);
        Some(Due { id: self.nodes.id(slot), slept })
    }

    /// From now on another clock counts: all wait as long as they would have.
    pub(crate) fn change_clock(&mut self, old_ns: u64, new_ns: u64) {
        for (timer, slot) in self.timers.take() {
            let left = timer.due_ns().saturating_sub(old_ns);
            let timer = self.timers.set(slot, new_ns.saturating_add(left));
            self.nodes.get_mut(slot).timer = Some(Box::new(timer));
        }
    }

    /// One that runs, or is paused, has the others run until nothing is ready.
    pub(crate) fn watch(&mut self, id: TaskletId, steps: u64) {
        if let Some(slot) = self.nodes.find(id) {
            self.detach(slot);
            let began = self.watchers.begin(Watcher { id, steps });
            self.put(slot, Place::Watching(began));
        }
    }

    /// Those that have others run, the outermost first.
    pub(crate) fn watching(&self) -> impl Iterator<Item = TaskletId> {
        self.watchers.iter()
    }

    /// The one that began to watch last.
    pub(crate) fn innermost(&self) -> Option<TaskletId> {
        self.watchers.innermost()
    }

    /// The outermost of those that limit the others, which is the only one whose limit counts.
    pub(crate) fn limiting(&self) -> Option<Watcher> {
        self.watchers.limiting()
    }

    /// Wakes one that watches: it runs next. Those that began to watch since watch no more, and are
    /// queued behind all that are ready, the innermost first; these are returned.
    pub(crate) fn wake(&mut self, id: TaskletId) -> Vec<TaskletId> {
        let Some(Place::Watching(began)) = self.place(id) else { return Vec::new() };
        let inner: Vec<TaskletId> = self.watchers.within(began).collect();
        for id in &inner {
            self.requeue(*id);
        }
        self.requeue_first(id);
        inner
    }
}
