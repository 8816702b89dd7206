//! Tasklets that come in together, each to where it stood.

use super::{Core, Place, Seated};
use crate::sched::channel::Direction;
use crate::sched::{ChannelId, TaskletId};

impl Core {
    /// The highest number that was given.
    pub(crate) fn numbered(&self) -> u64 {
        self.next_tasklet
    }

    /// Makes sure that numbers up to this one are not given any more.
    pub(crate) fn skip_to(&mut self, numbered: u64) {
        self.next_tasklet = self.next_tasklet.max(numbered);
    }

    /// A new tasklet under a number that no other has or had; it is paused.
    pub(crate) fn add_as(&mut self, id: TaskletId) {
        self.skip_to(id.0);
        self.nodes.insert(id, Seated { place: Place::Paused, timer: None });
    }

    /// All of them, by number.
    pub(crate) fn ids(&self) -> Vec<TaskletId> {
        self.nodes.sorted().into_iter().map(|(id, _)| id).collect()
    }

    /// Those that run, by number.
    pub(crate) fn current(&self) -> Vec<TaskletId> {
        if self.running == 0 {
            return Vec::new();
        }
        let mut ids = self.ids();
        ids.retain(|id| self.is_running(*id));
        ids
    }

    /// Those that are paused, by number.
    pub(crate) fn paused(&self) -> impl Iterator<Item = TaskletId> {
        let all = self.nodes.sorted().into_iter();
        all.filter(|(_, slot)| self.nodes.get(*slot).place == Place::Paused).map(|(id, _)| id)
    }

    /// Has a paused tasklet wait on a channel that is open and on which nobody waits for the
    /// contrary, last in its line.
    pub(crate) fn wait_in_line(&mut self, id: TaskletId, on: ChannelId, direction: Direction) {
        if let Some(slot) = self.nodes.find(id) {
            self.block(slot, on, direction);
        }
    }
}
