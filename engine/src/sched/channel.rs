//! A channel as a state machine: who waits on it, in which direction, and who goes on after an
//! exchange. Messages are not here: a waiting sender keeps its own.

use super::queue::{Line, Nodes, Slot};

/// What somebody wants of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To hand a message over.
    Send,
    /// To be handed one.
    Receive,
}

/// Who goes on at once after an exchange; the other is queued behind all that are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preference {
    /// The receiver. What Stackless calls -1, and its default.
    #[default]
    Receiver,
    /// Whoever completed the exchange. Stackless's 0.
    Neither,
    /// The sender. Stackless's 1.
    Sender,
    /// Nobody: both are queued, the partner that waited first. Stackless's `schedule_all`.
    Both,
}

/// How a channel behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChannelOptions {
    /// Who goes on after an exchange.
    pub preference: Preference,
    /// Whether somebody outside the scheduler serves it. Tasklets that wait on such a channel are
    /// no deadlock.
    pub external: bool,
}

/// What happens next once two have met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Who completed the exchange goes on, its partner is queued.
    Stay,
    /// The partner goes on, who completed the exchange is queued.
    HandOver,
    /// Both are queued, the partner first.
    Ring,
}

#[derive(Debug, Default)]
pub(crate) struct Channel {
    pub(crate) options: ChannelOptions,
    /// All who wait want the same, `direction`.
    line: Line,
    direction: Option<Direction>,
    pub(crate) closed: bool,
}

impl Channel {
    pub(crate) fn new(options: ChannelOptions) -> Channel {
        Channel { options, ..Channel::default() }
    }

    /// Senders that wait, or if negative receivers.
    pub(crate) fn balance(&self) -> i64 {
        let waiting = self.line.len() as i64;
        if self.direction == Some(Direction::Receive) { -waiting } else { waiting }
    }

    /// Whether one that wants `direction` meets somebody.
    pub(crate) fn meets(&self, direction: Direction) -> bool {
        !self.line.is_empty() && self.direction != Some(direction)
    }

    /// The first who waits for somebody that wants `direction`; it waits no more.
    pub(crate) fn meet<T>(&mut self, nodes: &mut Nodes<T>, direction: Direction) -> Option<Slot> {
        if self.direction == Some(direction) {
            return None;
        }
        self.line.pop(nodes)
    }

    /// Queues one who met nobody, and stands in no line.
    pub(crate) fn wait<T>(&mut self, nodes: &mut Nodes<T>, slot: Slot, direction: Direction) {
        debug_assert!(self.line.is_empty() || self.direction == Some(direction));
        self.direction = Some(direction);
        self.line.push(nodes, slot);
    }

    pub(crate) fn leave<T>(&mut self, nodes: &mut Nodes<T>, slot: Slot) {
        self.line.leave(nodes, slot);
    }

    /// Those who wait, first come first.
    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    /// Who goes on when one that wants `direction` has completed an exchange.
    pub(crate) fn next(&self, direction: Direction) -> Next {
        match (self.options.preference, direction) {
            (Preference::Both, _) => Next::Ring,
            (Preference::Receiver, Direction::Send) | (Preference::Sender, Direction::Receive) => {
                Next::HandOver
            }
            _ => Next::Stay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::TaskletId;

    #[test]
    fn waiting_is_first_in_first_out_and_of_one_direction() {
        let (mut nodes, mut channel) = (Nodes::default(), Channel::default());
        let slots: Vec<Slot> = (0..5).map(|id| nodes.insert(TaskletId(id), ())).collect();
        assert_eq!(channel.meet(&mut nodes, Direction::Send), None);
        for slot in &slots[1..4] {
            channel.wait(&mut nodes, *slot, Direction::Send);
        }
        assert_eq!(channel.balance(), 3);
        assert_eq!(channel.meet(&mut nodes, Direction::Send), None);
        channel.leave(&mut nodes, slots[2]);
        assert_eq!(channel.balance(), 2);
        assert_eq!(channel.meet(&mut nodes, Direction::Receive), Some(slots[1]));
        assert_eq!(channel.meet(&mut nodes, Direction::Receive), Some(slots[3]));
        assert_eq!(channel.meet(&mut nodes, Direction::Receive), None);
        channel.wait(&mut nodes, slots[4], Direction::Receive);
        assert_eq!(channel.balance(), -1);
        assert_eq!(channel.meet(&mut nodes, Direction::Send), Some(slots[4]));
        assert_eq!(channel.balance(), 0);
    }

    #[test]
    fn preference_decides_who_goes_on() {
        let next = |preference, direction| {
            Channel::new(ChannelOptions { preference, external: false }).next(direction)
        };
        let both =
            |preference| (next(preference, Direction::Send), next(preference, Direction::Receive));
        assert_eq!(both(Preference::Receiver), (Next::HandOver, Next::Stay));
        assert_eq!(both(Preference::Neither), (Next::Stay, Next::Stay));
        assert_eq!(both(Preference::Sender), (Next::Stay, Next::HandOver));
        assert_eq!(both(Preference::Both), (Next::Ring, Next::Ring));
    }
}
