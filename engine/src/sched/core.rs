//! The scheduler as a state machine: who is ready, who waits, who runs. Events go in by methods,
//! what is to be done comes out of them; nothing runs here. Any number can run at once.

use super::channel::{Channel, ChannelOptions, Direction, Next};
use super::queue::{IdMap, Line, Nodes, Slot};
use super::timers::{Timer, Timers};
use super::watchers::{Began, Watchers};
use super::{ChannelId, TaskletId};

/// Where a tasklet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Paused,
    Ready,
    /// It runs.
    Current,
    Blocked(ChannelId, Direction),
    /// It waits for something the scheduler knows nothing of.
    Outside,
    /// It waits for time alone.
    Sleeping,
    /// It has others run.
    Watching(Began),
}

/// Why something cannot be done with a tasklet; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unknown,
    Blocked,
    Current,
    Sleeping,
    Watching,
}

/// One whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) id: TaskletId,
    /// It waited for nothing else.
    pub(crate) slept: bool,
}

/// What is kept of a tasklet.
#[derive(Debug)]
struct Seated {
    place: Place,
    /// NB: boxed, for it is twice as large as all the rest, and most wait for no time.
    timer: Option<Box<Timer>>,
}

// Ten million may be hibernated.
const _: () = assert!(Nodes::<Seated>::NODE_BYTES <= 40);

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

/// Whether one that meets nobody waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Not,
    /// No longer than that.
    Until(u64),
    Forever,
}

#[derive(Debug, Default)]
pub(crate) struct Core {
    nodes: Nodes<Seated>,
    channels: IdMap<ChannelId, Channel>,
    ready: Line,
    outside: Line,
    timers: Timers,
    watchers: Watchers,
    /// How many run.
    running: usize,
    next_tasklet: u64,
    next_channel: u64,
}

impl Core {
    /// A new tasklet, which is paused.
    pub(crate) fn add(&mut self) -> TaskletId {
        self.next_tasklet += 1;
        let id = TaskletId(self.next_tasklet);
        self.nodes.insert(id, Seated { place: Place::Paused, timer: None });
        id
    }

    pub(crate) fn add_channel(&mut self, options: ChannelOptions) -> ChannelId {
        self.next_channel += 1;
        let id = ChannelId(self.next_channel);
        self.channels.insert(id, Channel::new(options));
        id
    }

    pub(crate) fn place(&self, id: TaskletId) -> Option<Place> {
        self.nodes.find(id).map(|slot| self.nodes.get(slot).place)
    }

    pub(crate) fn is_running(&self, id: TaskletId) -> bool {
        self.place(id) == Some(Place::Current)
    }

    pub(crate) fn channel(&self, id: ChannelId) -> Option<&Channel> {
        self.channels.get(&id)
    }

    pub(crate) fn channel_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.channels.get_mut(&id)
    }

    /// Those that wait on a channel, first come first.
    pub(crate) fn waiting_on(&self, id: ChannelId) -> impl Iterator<Item = TaskletId> {
        self.channels.get(&id).into_iter().flat_map(|channel| channel.line().iter(&self.nodes))
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// How many can run: those that are ready, and those that do.
    pub(crate) fn run_count(&self) -> usize {
        self.ready.len() + self.running
    }

    pub(crate) fn ready(&self) -> impl Iterator<Item = TaskletId> {
        self.ready.iter(&self.nodes)
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Those that wait for something outside, first come first.
    pub(crate) fn outside(&self) -> impl Iterator<Item = TaskletId> {
        self.outside.iter(&self.nodes)
    }

    /// Those that wait on channels, by id.
    pub(crate) fn blocked(&self) -> impl Iterator<Item = (TaskletId, ChannelId)> {
        let all = self.nodes.sorted().into_iter();
        all.filter_map(|(id, slot)| match self.nodes.get(slot).place {
            Place::Blocked(channel, _) => Some((id, channel)),
            _ => None,
        })
    }

    /// Appends a paused tasklet to those that are ready; nothing if it is there already.
    pub(crate) fn insert(&mut self, id: TaskletId) -> Result<(), Refusal> {
        let slot = self.nodes.find(id).ok_or(Refusal::Unknown)?;
        match self.nodes.get(slot).place {
            Place::Paused | Place::Outside => {
                self.make_ready(slot);
                Ok(())
            }
            Place::Ready => Ok(()),
            Place::Blocked(..) => Err(Refusal::Blocked),
            Place::Current => Err(Refusal::Current),
            Place::Sleeping => Err(Refusal::Sleeping),
            Place::Watching(_) => Err(Refusal::Watching),
        }
    }

    /// Puts a paused tasklet, or one that is ready, before all that are.
    pub(crate) fn insert_first(&mut self, id: TaskletId) -> Result<(), Refusal> {
        self.insert(id)?;
        self.requeue_first(id);
        Ok(())
    }

    /// Pauses a tasklet that is ready, or waits for time or others; nothing if it is paused already.
    pub(crate) fn remove(&mut self, id: TaskletId) -> Result<(), Refusal> {
        let slot = self.nodes.find(id).ok_or(Refusal::Unknown)?;
        match self.nodes.get(slot).place {
            Place::Paused => Ok(()),
            Place::Ready | Place::Outside | Place::Sleeping | Place::Watching(_) => {
                self.detach(slot);
                Ok(())
            }
            Place::Blocked(..) => Err(Refusal::Blocked),
            Place::Current => Err(Refusal::Current),
        }
    }

    /// Forgets a tasklet, wherever it is.
    pub(crate) fn forget(&mut self, id: TaskletId) {
        if let Some(slot) = self.nodes.find(id) {
            self.detach(slot);
            self.nodes.remove(id);
        }
    }

    /// The first that is ready runs.
    pub(crate) fn next(&mut self) -> Option<TaskletId> {
        let slot = self.ready.pop(&mut self.nodes)?;
        self.make_current(slot);
        Some(self.nodes.id(slot))
    }

    /// Queues one, wherever it is, behind all that are ready.
    pub(crate) fn requeue(&mut self, id: TaskletId) {
        if let Some(slot) = self.nodes.find(id) {
            self.make_ready(slot);
        }
    }

    /// Queues one, wherever it is, before all that are ready.
    pub(crate) fn requeue_first(&mut self, id: TaskletId) {
        if let Some(slot) = self.nodes.find(id) {
            self.detach(slot);
            self.ready.push_front(&mut self.nodes, slot);
            self.put(slot, Place::Ready);
        }
    }

    /// Pauses one that runs.
    pub(crate) fn park(&mut self, id: TaskletId) {
        if let Some(slot) = self.nodes.find(id) {
            self.detach(slot);
        }
    }

    /// One that runs waits for something outside.
    pub(crate) fn wait_outside(&mut self, id: TaskletId) {
        if let Some(slot) = self.nodes.find(id) {
            self.detach(slot);
            self.outside.push(&mut self.nodes, slot);
            self.put(slot, Place::Outside);
        }
    }

    /// Those that waited for something outside ask again, in the order in which they came.
    pub(crate) fn ask_outside_again(&mut self) {
        while let Some(slot) = self.outside.pop(&mut self.nodes) {
            self.ready.push(&mut self.nodes, slot);
            self.put(slot, Place::Ready);
        }
    }

    /// One that runs, or a paused one that is inserted, sends or receives. If it runs it is
    /// afterwards where [`Next`] says, otherwise ready or blocked.
    pub(crate) fn exchange(
        &mut self,
        id: TaskletId,
        channel_id: ChannelId,
        direction: Direction,
        wait: Wait,
    ) -> Exchange {
        let Some(slot) = self.nodes.find(id) else { return Exchange::Closed };
        let ran = self.nodes.get(slot).place == Place::Current;
        let Some(channel) = self.channels.get_mut(&channel_id).filter(|channel| !channel.closed)
        else {
            return Exchange::Closed;
        };
        let Some(partner) = channel.meet(&mut self.nodes, direction) else {
            if wait == Wait::Not {
                return Exchange::WouldBlock;
            }
            self.block(slot, channel_id, direction);
            if let Wait::Until(due_ns) = wait {
                self.set_timer(slot, due_ns);
            }
            return Exchange::Waits;
        };
        let next = if ran { channel.next(direction) } else { Next::Ring };
        self.met(partner);
        match next {
            Next::Stay => self.make_ready(partner),
            Next::HandOver => {
                self.make_ready(slot);
                self.make_current(partner);
            }
            Next::Ring => {
                self.make_ready(partner);
                self.make_ready(slot);
            }
        }
        Exchange::Met(self.nodes.id(partner), next)
    }

    /// Somebody outside sends or receives; who it meets is made ready.
    pub(crate) fn exchange_outside(&mut self, id: ChannelId, direction: Direction) -> Exchange {
        let Some(channel) = self.channels.get_mut(&id).filter(|channel| !channel.closed) else {
            return Exchange::Closed;
        };
        let Some(partner) = channel.meet(&mut self.nodes, direction) else {
            return Exchange::WouldBlock;
        };
        self.met(partner);
        self.make_ready(partner);
        Exchange::Met(self.nodes.id(partner), Next::Stay)
    }

    /// Closes a channel. All who wait on it are made ready, in order.
    pub(crate) fn close(&mut self, id: ChannelId) -> Vec<TaskletId> {
        let Some(channel) = self.channels.get_mut(&id) else { return Vec::new() };
        channel.closed = true;
        let waiting: Vec<TaskletId> = channel.line().iter(&self.nodes).collect();
        for id in &waiting {
            self.requeue(*id);
        }
        waiting
    }

    /// Closes a channel and forgets it.
    pub(crate) fn remove_channel(&mut self, id: ChannelId) -> Vec<TaskletId> {
        let woken = self.close(id);
        self.channels.remove(&id);
        woken
    }

    /// At most so many of those that wait on channels, by number: of the channels that were made
    /// first the first who wait. And whether somebody outside serves any that is waited on.
    pub(crate) fn stuck(&self, most: usize) -> (Vec<TaskletId>, bool) {
        let waited_on = self.channels.iter().filter(|(_, channel)| !channel.line().is_empty());
        let mut waited_on: Vec<(ChannelId, &Channel)> = waited_on.map(|(id, c)| (*id, c)).collect();
        waited_on.sort_unstable_by_key(|(id, _)| *id);
        let is_external = waited_on.iter().any(|(_, channel)| channel.options.external);
        let all = waited_on.iter().flat_map(|(_, channel)| channel.line().iter(&self.nodes));
        let mut ids: Vec<TaskletId> = all.take(most).collect();
        ids.sort_unstable();
        (ids, is_external)
    }

    fn block(&mut self, slot: Slot, id: ChannelId, direction: Direction) {
        self.detach(slot);
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.wait(&mut self.nodes, slot, direction);
            self.put(slot, Place::Blocked(id, direction));
        }
    }

    /// One whom another has met has left the channel's line.
    fn met(&mut self, slot: Slot) {
        self.cancel_timer(slot);
        self.put(slot, Place::Paused);
    }

    fn make_ready(&mut self, slot: Slot) {
        self.detach(slot);
        self.ready.push(&mut self.nodes, slot);
        self.put(slot, Place::Ready);
    }

    /// One that stands in no line runs.
    fn make_current(&mut self, slot: Slot) {
        self.put(slot, Place::Current);
        self.running += 1;
    }

    fn put(&mut self, slot: Slot, place: Place) {
        self.nodes.get_mut(slot).place = place;
    }

    /// Takes a tasklet out of whatever line it stands in; it is paused.
    fn detach(&mut self, slot: Slot) {
        self.cancel_timer(slot);
        match self.nodes.get(slot).place {
            Place::Ready => self.ready.leave(&mut self.nodes, slot),
            Place::Outside => self.outside.leave(&mut self.nodes, slot),
            Place::Blocked(channel, _) => {
                if let Some(channel) = self.channels.get_mut(&channel) {
                    channel.leave(&mut self.nodes, slot);
                }
            }
            Place::Current => self.running -= 1,
            Place::Watching(began) => self.watchers.end(began),
            Place::Paused | Place::Sleeping => {}
        }
        self.put(slot, Place::Paused);
    }
}

mod sets;
mod waits;

#[cfg(test)]
mod tests;
