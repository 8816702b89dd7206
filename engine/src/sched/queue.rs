//! Who is there, by number and by slot, and lines of them: first in, first out, left from the middle
//! at no cost.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroU32;

use super::TaskletId;

/// A map by numbers that nobody outside chooses. NB: never to be iterated over unsorted, for nothing
/// may depend on hashes.
pub(crate) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// One multiplication: these are numbers counted up.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 by the golden ratio; the map looks at the highest and at the lowest bits.
        let product = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = product ^ (product >> 32);
    }
}

/// An index into [`Nodes`]; that of one who is gone is used again.
///
/// One more than the index, so that there can be none in four bytes: of each tasklet that is
/// hibernated there is little more in memory than its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(NonZeroU32);

impl Slot {
    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// One of a line of whoever: what is kept of it, and its neighbours.
#[derive(Debug)]
struct Node<T> {
    id: TaskletId,
    what: T,
    before: Option<Slot>,
    behind: Option<Slot>,
}

/// All who are there. Each stands in one [`Line`] at most.
#[derive(Debug)]
pub(crate) struct Nodes<T> {
    nodes: Vec<Node<T>>,
    free: Vec<Slot>,
    slots: IdMap<TaskletId, Slot>,
}

impl<T> Default for Nodes<T> {
    fn default() -> Nodes<T> {
        Nodes { nodes: Vec::new(), free: Vec::new(), slots: IdMap::default() }
    }
}

impl<T> Nodes<T> {
    /// There must be fewer than 2^32, which the limit on tasklets sees to.
    pub(crate) fn insert(&mut self, id: TaskletId, what: T) -> Slot {
        let node = Node { id, what, before: None, behind: None };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.nodes[slot.index()] = node;
                slot
            }
            None => {
                self.nodes.push(node);
                let number = NonZeroU32::new(self.nodes.len() as u32);
                Slot(number.expect("there are fewer than 2^32"))
            }
        };
        self.slots.insert(id, slot);
        slot
    }

    /// Forgets one, who must stand in no line.
    pub(crate) fn remove(&mut self, id: TaskletId) {
        self.free.extend(self.slots.remove(&id));
    }

    pub(crate) fn find(&self, id: TaskletId) -> Option<Slot> {
        self.slots.get(&id).copied()
    }

    pub(crate) fn id(&self, slot: Slot) -> TaskletId {
        self.nodes[slot.index()].id
    }

    pub(crate) fn get(&self, slot: Slot) -> &T {
        &self.nodes[slot.index()].what
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> &mut T {
        &mut self.nodes[slot.index()].what
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Of each tasklet that is hibernated this is in memory, and little else.
    pub(crate) const NODE_BYTES: usize = size_of::<Node<T>>();

    /// All of them, by number.
    pub(crate) fn sorted(&self) -> Vec<(TaskletId, Slot)> {
        let mut all: Vec<_> = self.slots.iter().map(|(id, slot)| (*id, *slot)).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }

    fn node(&mut self, slot: Slot) -> &mut Node<T> {
        &mut self.nodes[slot.index()]
    }
}

/// Tasklets in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Line {
    first: Option<Slot>,
    last: Option<Slot>,
    len: usize,
}

impl Line {
    /// Who stands in no line goes last.
    pub(crate) fn push<T>(&mut self, nodes: &mut Nodes<T>, slot: Slot) {
        let node = nodes.node(slot);
        debug_assert!(node.before.is_none() && node.behind.is_none());
        node.before = self.last;
        match self.last {
            Some(last) => nodes.node(last).behind = Some(slot),
            None => self.first = Some(slot),
        }
        self.last = Some(slot);
        self.len += 1;
    }

    /// Who stands in no line goes first.
    pub(crate) fn push_front<T>(&mut self, nodes: &mut Nodes<T>, slot: Slot) {
        let node = nodes.node(slot);
        debug_assert!(node.before.is_none() && node.behind.is_none());
        node.behind = self.first;
        match self.first {
            Some(first) => nodes.node(first).before = Some(slot),
            None => self.last = Some(slot),
        }
        self.first = Some(slot);
        self.len += 1;
    }

    pub(crate) fn pop<T>(&mut self, nodes: &mut Nodes<T>) -> Option<Slot> {
        let slot = self.first?;
        self.leave(nodes, slot);
        Some(slot)
    }

    /// One who stands in this line leaves it.
    pub(crate) fn leave<T>(&mut self, nodes: &mut Nodes<T>, slot: Slot) {
        let node = nodes.node(slot);
        let (before, behind) = (node.before.take(), node.behind.take());
        match before {
            Some(before) => nodes.node(before).behind = behind,
            None => self.first = behind,
        }
        match behind {
            Some(behind) => nodes.node(behind).before = before,
            None => self.last = before,
        }
        self.len -= 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn iter<T>(&self, nodes: &Nodes<T>) -> impl Iterator<Item = TaskletId> {
        let mut next = self.first;
        std::iter::from_fn(move || {
            let node = &nodes.nodes[next?.index()];
            next = node.behind;
            Some(node.id)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(line: &Line, nodes: &Nodes<()>) -> Vec<u64> {
        line.iter(nodes).map(|id| id.0).collect()
    }

    #[test]
    fn a_line_is_first_in_first_out_and_can_be_left() {
        let (mut nodes, mut line) = (Nodes::default(), Line::default());
        let slots: Vec<Slot> = (0..5).map(|id| nodes.insert(TaskletId(id), ())).collect();
        for slot in &slots[..4] {
            line.push(&mut nodes, *slot);
        }
        line.leave(&mut nodes, slots[1]);
        line.push(&mut nodes, slots[1]);
        assert_eq!(ids(&line, &nodes), [0, 2, 3, 1]);
        line.push_front(&mut nodes, slots[4]);
        assert_eq!((ids(&line, &nodes), line.len()), (vec![4, 0, 2, 3, 1], 5));
        for slot in [4, 1, 2] {
            line.leave(&mut nodes, slots[slot]);
        }
        assert_eq!(ids(&line, &nodes), [0, 3]);
        assert_eq!(line.pop(&mut nodes), Some(slots[0]));
        assert_eq!(line.pop(&mut nodes), Some(slots[3]));
        assert_eq!((line.pop(&mut nodes), line.is_empty()), (None, true));
    }

    #[test]
    fn slots_are_used_again_and_numbers_found() {
        let mut nodes = Nodes::default();
        let first = nodes.insert(TaskletId(7), 'a');
        nodes.insert(TaskletId(3), 'b');
        nodes.remove(TaskletId(7));
        nodes.remove(TaskletId(7));
        assert_eq!((nodes.find(TaskletId(7)), nodes.len()), (None, 1));
        assert_eq!(nodes.insert(TaskletId(9), 'c'), first);
        assert_eq!((nodes.id(first), *nodes.get(first)), (TaskletId(9), 'c'));
        let numbers: Vec<u64> = nodes.sorted().iter().map(|(id, _)| id.0).collect();
        assert_eq!(numbers, [3, 9]);
    }
}
