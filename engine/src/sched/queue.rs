//! A line in which everybody has a place: first in, first out, and leaving from the middle is cheap.

use std::collections::BTreeMap;

use super::TaskletId;

/// A place in a [`Line`]; who comes later has a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn(u64);

/// Tasklets in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// NB: not a `VecDeque`: killing one of a million that wait would look at all of them.
    by_turn: BTreeMap<Turn, TaskletId>,
    next: u64,
}

impl Line {
    pub(crate) fn push(&mut self, id: TaskletId) -> Turn {
        let turn = Turn(self.next);
        self.next += 1;
        self.by_turn.insert(turn, id);
        turn
    }

    pub(crate) fn pop(&mut self) -> Option<TaskletId> {
        self.by_turn.pop_first().map(|(_, id)| id)
    }

    pub(crate) fn leave(&mut self, turn: Turn) {
        self.by_turn.remove(&turn);
    }

    pub(crate) fn len(&self) -> usize {
        self.by_turn.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_turn.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = TaskletId> {
        self.by_turn.values().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_first_in_first_out_and_can_be_left() {
        let mut line = Line::default();
        let turns: Vec<Turn> = (0..4).map(|id| line.push(TaskletId(id))).collect();
        line.leave(turns[1]);
        line.leave(turns[1]);
        line.push(TaskletId(1));
        assert_eq!(line.iter().map(|id| id.0).collect::<Vec<_>>(), [0, 2, 3, 1]);
        assert_eq!((line.pop(), line.len()), (Some(TaskletId(0)), 3));
        assert!(!line.is_empty());
    }
}
