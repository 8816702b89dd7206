//! Those that have others run, in the order in which they began.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::TaskletId;

/// One that has others run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Watcher {
    pub(crate) id: TaskletId,
    /// Steps that each may run at a stretch; 0 is without end.
    pub(crate) steps: u64,
}

/// When one began, among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Began(u64);

/// All of them. Whatever is done with one costs as much as finding it among them.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    all: BTreeMap<Began, Watcher>,
    /// Those that limit the others.
    limiting: BTreeSet<Began>,
    next: u64,
}

impl Watchers {
    pub(crate) fn begin(&mut self, watcher: Watcher) -> Began {
        let began = Began(self.next);
        self.next += 1;
        self.all.insert(began, watcher);
        if watcher.steps > 0 {
            self.limiting.insert(began);
        }
        began
    }

    pub(crate) fn end(&mut self, began: Began) {
        self.all.remove(&began);
        self.limiting.remove(&began);
    }

    /// The outermost first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = TaskletId> {
        self.all.values().map(|watcher| watcher.id)
    }

    /// The one that began last.
    pub(crate) fn innermost(&self) -> Option<TaskletId> {
        self.all.last_key_value().map(|(_, watcher)| watcher.id)
    }

    /// The outermost of those that limit the others.
    pub(crate) fn limiting(&self) -> Option<Watcher> {
        self.limiting.first().and_then(|began| self.all.get(began)).copied()
    }

    /// Those that began later, the last first.
    pub(crate) fn within(&self, began: Began) -> impl Iterator<Item = TaskletId> {
        self.all
            .range((Bound::Excluded(began), Bound::Unbounded))
            .rev()
            .map(|(_, watcher)| watcher.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_limits_and_each_can_end() {
        let mut all = Watchers::default();
        let ids = [1, 2, 3, 4].map(TaskletId);
        let began: Vec<Began> = ids
            .iter()
            .zip([0, 7, 0, 9])
            .map(|(id, steps)| all.begin(Watcher { id: *id, steps }))
            .collect();
        assert_eq!(all.iter().collect::<Vec<_>>(), ids);
        assert_eq!((all.innermost(), all.limiting().map(|it| it.id)), (Some(ids[3]), Some(ids[1])));
        assert_eq!(all.within(began[0]).collect::<Vec<_>>(), [ids[3], ids[2], ids[1]]);
        all.end(began[1]);
        all.end(began[1]);
        assert_eq!(all.limiting(), Some(Watcher { id: ids[3], steps: 9 }));
        assert_eq!(all.within(began[0]).collect::<Vec<_>>(), [ids[3], ids[2]]);
        assert_eq!(all.within(began[3]).next(), None);
        all.end(began[3]);
        assert_eq!((all.innermost(), all.limiting()), (Some(ids[2]), None));
    }
}
