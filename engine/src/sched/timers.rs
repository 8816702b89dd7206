//! Who waits for time, in the order in which it comes.

use std::collections::BTreeMap;

use super::queue::Slot;

/// A wait that ends at a point in time; of two that end at the same the one set first does first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    due_ns: u64,
    turn: u64,
}

impl Timer {
    pub(crate) fn due_ns(self) -> u64 {
        self.due_ns
    }
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_due: BTreeMap<Timer, Slot>,
    next: u64,
}

impl Timers {
    pub(crate) fn set(&mut self, slot: Slot, due_ns: u64) -> Timer {
        let timer = Timer { due_ns, turn: self.next };
        self.next += 1;
        self.by_due.insert(timer, slot);
        timer
    }

    pub(crate) fn cancel(&mut self, timer: Timer) {
        self.by_due.remove(&timer);
    }

    /// The first who is due, and when.
    pub(crate) fn first(&self) -> Option<(u64, Slot)> {
        self.by_due.first_key_value().map(|(timer, slot)| (timer.due_ns, *slot))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_due.is_empty()
    }

    /// All who wait, the first who is due first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Slot> {
        self.by_due.values().copied()
    }

    /// Takes all of them out, so that they can be set again by another clock.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (Timer, Slot)> + use<> {
        std::mem::take(&mut self.by_due).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::TaskletId;
    use crate::sched::queue::Nodes;

    #[test]
    fn who_is_due_first_comes_first_and_then_who_was_set_first() {
        let (mut nodes, mut timers) = (Nodes::default(), Timers::default());
        let slots: Vec<Slot> = (0..4).map(|id| nodes.insert(TaskletId(id), ())).collect();
        assert_eq!((timers.first(), timers.is_empty()), (None, true));
        let set: Vec<Timer> =
            slots.iter().zip([20, 10, 10, 5]).map(|(slot, due)| timers.set(*slot, due)).collect();
        assert_eq!(timers.iter().collect::<Vec<_>>(), [3, 1, 2, 0].map(|at| slots[at]));
        timers.cancel(set[3]);
        assert_eq!((timers.first(), set[3].due_ns()), (Some((10, slots[1])), 5));
        let taken: Vec<Slot> = timers.take().map(|(_, slot)| slot).collect();
        assert_eq!((taken.len(), timers.is_empty()), (3, true));
    }
}
