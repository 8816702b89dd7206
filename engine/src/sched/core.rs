//! The scheduler as a state machine: who is ready, who waits, who runs. Events go in by methods,
//! what is to be done comes out of them; nothing runs here.

use std::collections::BTreeMap;

use super::channel::{Channel, ChannelOptions, Direction, Next};
use super::queue::{Line, Turn};
use super::{ChannelId, TaskletId};

/// Where a tasklet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Paused,
    Ready(Turn),
    Current,
    Blocked(ChannelId, Direction, Turn),
    /// It waits for something the scheduler knows nothing of.
    Outside(Turn),
}

/// Why something cannot be done with a tasklet; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unknown,
    Blocked,
    Current,
}

/// What has become of an attempt to send or receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// It met this one. The message goes from the sender to the receiver.
    Met(TaskletId, Next),
    /// It waits, as the last of those who want the same.
    Waits,
    /// Nobody is there, and it does not want to wait.
    WouldBlock,
    Closed,
}

#[derive(Debug, Default)]
pub(crate) struct Core {
    /// NB: ordered, so that nothing depends on hashes.
    places: BTreeMap<TaskletId, Place>,
    channels: BTreeMap<ChannelId, Channel>,
    ready: Line,
    outside: Line,
    current: Option<TaskletId>,
    next_tasklet: u64,
    next_channel: u64,
}

impl Core {
    /// A new tasklet, which is paused.
    pub(crate) fn add(&mut self) -> TaskletId {
        self.next_tasklet += 1;
        let id = TaskletId(self.next_tasklet);
        self.places.insert(id, Place::Paused);
        id
    }

    pub(crate) fn add_channel(&mut self, options: ChannelOptions) -> ChannelId {
        self.next_channel += 1;
        let id = ChannelId(self.next_channel);
        self.channels.insert(id, Channel::new(options));
        id
    }

    pub(crate) fn place(&self, id: TaskletId) -> Option<Place> {
        self.places.get(&id).copied()
    }

    pub(crate) fn channel(&self, id: ChannelId) -> Option<&Channel> {
        self.channels.get(&id)
    }

    pub(crate) fn channel_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.channels.get_mut(&id)
    }

    pub(crate) fn current(&self) -> Option<TaskletId> {
        self.current
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// How many can run: those that are ready, and the current.
    pub(crate) fn run_count(&self) -> usize {
        self.ready.len() + usize::from(self.current.is_some())
    }

    pub(crate) fn ready(&self) -> impl Iterator<Item = TaskletId> {
        self.ready.iter()
    }

    /// Those that wait for something outside, first come first.
    pub(crate) fn outside(&self) -> impl Iterator<Item = TaskletId> {
        self.outside.iter()
    }

    /// Those that wait on channels, by id.
    pub(crate) fn blocked(&self) -> impl Iterator<Item = (TaskletId, ChannelId)> {
        self.places.iter().filter_map(|(id, place)| match place {
            Place::Blocked(channel, ..) => Some((*id, *channel)),
            _ => None,
        })
    }

    /// Appends a paused tasklet to those that are ready; nothing if it is there already.
    pub(crate) fn insert(&mut self, id: TaskletId) -> Result<(), Refusal> {
        match self.place(id).ok_or(Refusal::Unknown)? {
            Place::Paused | Place::Outside(_) => {
                self.make_ready(id);
                Ok(())
            }
            Place::Ready(_) => Ok(()),
            Place::Blocked(..) => Err(Refusal::Blocked),
            Place::Current => Err(Refusal::Current),
        }
    }

    /// Pauses a tasklet that is ready; nothing if it is paused already.
    pub(crate) fn remove(&mut self, id: TaskletId) -> Result<(), Refusal> {
        match self.place(id).ok_or(Refusal::Unknown)? {
            Place::Paused => Ok(()),
            Place::Ready(_) | Place::Outside(_) => {
                self.set(id, Place::Paused);
                Ok(())
            }
            Place::Blocked(..) => Err(Refusal::Blocked),
            Place::Current => Err(Refusal::Current),
        }
    }

    /// Forgets a tasklet, wherever it is.
    pub(crate) fn forget(&mut self, id: TaskletId) {
        self.detach(id);
        self.places.remove(&id);
    }

    /// Makes the first that is ready the current.
    pub(crate) fn next(&mut self) -> Option<TaskletId> {
        debug_assert!(self.current.is_none());
        let id = self.ready.pop()?;
        self.places.insert(id, Place::Current);
        self.current = Some(id);
        Some(id)
    }

    /// Queues the current behind all that are ready.
    pub(crate) fn requeue(&mut self, id: TaskletId) {
        self.make_ready(id);
    }

    /// Pauses the current.
    pub(crate) fn park(&mut self, id: TaskletId) {
        self.set(id, Place::Paused);
    }

    /// The current waits for something outside.
    pub(crate) fn wait_outside(&mut self, id: TaskletId) {
        self.detach(id);
        let turn = self.outside.push(id);
        self.places.insert(id, Place::Outside(turn));
    }

    /// Those that waited for something outside ask again, in the order in which they came.
    pub(crate) fn ask_outside_again(&mut self) {
        while let Some(id) = self.outside.pop() {
            let turn = self.ready.push(id);
            self.places.insert(id, Place::Ready(turn));
        }
    }

    /// The current, or a paused one that is inserted, sends or receives. If it is the current it is
    /// afterwards where [`Next`] says, otherwise ready or blocked.
    pub(crate) fn exchange(
        &mut self,
        id: TaskletId,
        channel_id: ChannelId,
        direction: Direction,
        may_wait: bool,
    ) -> Exchange {
        let was_current = self.current == Some(id);
        let Some(channel) = self.channels.get_mut(&channel_id).filter(|channel| !channel.closed)
        else {
            return Exchange::Closed;
        };
        let Some(partner) = channel.meet(direction) else {
            if !may_wait {
                return Exchange::WouldBlock;
            }
            let turn = channel.wait(id, direction);
            self.detach(id);
            self.places.insert(id, Place::Blocked(channel_id, direction, turn));
            return Exchange::Waits;
        };
        let next = if was_current { channel.next(direction) } else { Next::Ring };
        // The partner has left the channel's line.
        self.places.insert(partner, Place::Paused);
        match next {
            Next::Stay => self.make_ready(partner),
            Next::HandOver => {
                self.make_ready(id);
                self.places.insert(partner, Place::Current);
                self.current = Some(partner);
            }
            Next::Ring => {
                self.make_ready(partner);
                self.make_ready(id);
            }
        }
        Exchange::Met(partner, next)
    }

    /// Somebody outside sends or receives; who it meets is made ready.
    pub(crate) fn exchange_outside(&mut self, id: ChannelId, direction: Direction) -> Exchange {
        let Some(channel) = self.channels.get_mut(&id).filter(|channel| !channel.closed) else {
            return Exchange::Closed;
        };
        let Some(partner) = channel.meet(direction) else { return Exchange::WouldBlock };
        self.places.insert(partner, Place::Paused);
        self.make_ready(partner);
        Exchange::Met(partner, Next::Stay)
    }

    /// Closes a channel. All who wait on it are made ready, in order.
    pub(crate) fn close(&mut self, id: ChannelId) -> Vec<TaskletId> {
        let Some(channel) = self.channels.get_mut(&id) else { return Vec::new() };
        channel.closed = true;
        let waiting: Vec<TaskletId> = channel.waiting().collect();
        for id in &waiting {
            self.make_ready(*id);
        }
        waiting
    }

    /// Closes a channel and forgets it.
    pub(crate) fn remove_channel(&mut self, id: ChannelId) -> Vec<TaskletId> {
        let woken = self.close(id);
        self.channels.remove(&id);
        woken
    }

    fn make_ready(&mut self, id: TaskletId) {
        self.detach(id);
        let turn = self.ready.push(id);
        self.places.insert(id, Place::Ready(turn));
    }

    fn set(&mut self, id: TaskletId, place: Place) {
        self.detach(id);
        self.places.insert(id, place);
    }

    /// Takes a tasklet out of whatever line it stands in.
    fn detach(&mut self, id: TaskletId) {
        match self.place(id) {
            Some(Place::Ready(turn)) => self.ready.leave(turn),
            Some(Place::Outside(turn)) => self.outside.leave(turn),
            Some(Place::Blocked(channel, _, turn)) => {
                if let Some(channel) = self.channels.get_mut(&channel) {
                    channel.leave(turn);
                }
            }
            Some(Place::Current) => self.current = None,
            Some(Place::Paused) | None => {}
        }
    }
}

#[cfg(test)]
mod tests;
