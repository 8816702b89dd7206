//! The rules a set keeps, besides those of its snapshots: the reader applies each where it reads, the
//! writer where it writes.

use super::super::rules::{Rule, names_ascending, require};
use super::super::{Digest, ModuleRef, Snapshot};
use super::{Channel, ChannelState, MADE_MAX, NUMBER_MAX, Place};
use crate::sched::Direction;

/// Modules ascend without repeats.
pub(super) fn module(previous: Option<Digest>, hash: Digest) -> Rule {
    require(previous.is_none_or(|previous| previous < hash), "modules are not unique and sorted")
}

/// So do channels, by their names, and behind these by the numbers that they have if guests made
/// them.
pub(super) fn channel(previous: Option<&Channel>, channel: &Channel, made: u64) -> Rule {
    let Some(number) = channel.made else {
        require(previous.is_none_or(|it| it.made.is_none()), "names are behind numbers")?;
        return names_ascending(previous.map(|it| &*it.name), &channel.name);
    };
    let before = previous.and_then(|it| it.made).unwrap_or(0);
    require(before < number, "channels that guests made are not unique and sorted")?;
    require(number <= made, "a channel has a number that was not given yet")?;
    require(channel.name.is_empty(), "a channel that a guest made has a name")?;
    require(channel.own.is_some(), "a channel that a guest made lies outside")
}

pub(super) fn made(made: u64) -> Rule {
    require(made <= MADE_MAX, "a channel's number is beyond 62 bits")
}

pub(super) fn numbered(numbered: u64) -> Rule {
    require(numbered <= NUMBER_MAX, "a tasklet's number is beyond 63 bits")
}

/// What is known of a channel.
struct Known {
    own: Option<ChannelState>,
    made: bool,
    /// Somebody was given it.
    given: bool,
    /// What those who wait on it want.
    direction: Option<Direction>,
}

/// The tasklets of a set, one after the other.
pub(super) struct Order {
    numbered: u64,
    modules: Vec<(Digest, u64, bool)>,
    channels: Vec<Known>,
    /// Where the one before stands, and its number if that decides.
    last: (u64, u64),
    numbers: Vec<u64>,
}

impl Order {
    pub(super) fn new(numbered: u64, modules: &[ModuleRef<'_>], channels: &[Channel]) -> Order {
        let known = |channel: &Channel| {
            let made = channel.made.is_some();
            Known { own: channel.own, made, given: false, direction: None }
        };
        Order {
            numbered,
            modules: modules.iter().map(|module| (module.hash, module.size, false)).collect(),
            channels: channels.iter().map(known).collect(),
            last: (0, 0),
            numbers: Vec::new(),
        }
    }

    /// The number, place and channels of the next tasklet.
    pub(super) fn place(&mut self, number: u64, place: Place, given: &[Option<u32>]) -> Rule {
        let is_number = (1..=self.numbered).contains(&number);
        require(is_number, "a tasklet has a number that was not given yet")?;
        self.numbers.push(number);
        for channel in given.iter().flatten() {
            let known = self.channels.get_mut(*channel as usize);
            known.ok_or("a tasklet was given a channel that is not there")?.given = true;
        }
        // Where they stand ascends; those that are paused have no other order than their numbers'.
        let rank = match place {
            Place::Ready => (0, 0),
            Place::Waiting => (1, 0),
            Place::Blocked(channel, _) => (2 + u64::from(channel), 0),
            Place::Paused => (u64::MAX, number),
        };
        require(self.last <= rank, "tasklets are not in the order of their places")?;
        self.last = rank;
        let Place::Blocked(channel, direction) = place else { return Ok(()) };
        let has = given.contains(&Some(channel));
        require(has, "a tasklet waits on a channel that it was not given")?;
        let known = &mut self.channels[channel as usize];
        let closed = known.own.is_some_and(|own| own.closed);
        require(!closed, "a tasklet waits on a channel that is closed")?;
        let same = *known.direction.get_or_insert(direction) == direction;
        require(same, "tasklets that wait on one channel want to send and to receive")
    }

    /// The tasklet itself.
    pub(super) fn snapshot(&mut self, snapshot: &Snapshot<'_>) -> Rule {
        let module = &snapshot.module;
        let found = self.modules.binary_search_by_key(&module.hash, |(hash, ..)| *hash);
        let known = found.ok().map(|at| &mut self.modules[at]);
        let known = known.filter(|(_, size, _)| *size == module.size);
        known.ok_or("a tasklet is of a module that is not there")?.2 = true;
        require(snapshot.base.is_none(), "a tasklet of a set has a base")?;
        require(snapshot.labels.is_empty(), "a tasklet of a set has labels of its own")
    }

    /// That was the last.
    pub(super) fn end(mut self) -> Rule {
        self.numbers.sort_unstable();
        let unique = self.numbers.is_sorted_by(|a, b| a < b);
        require(unique, "two tasklets have one number")?;
        require(self.modules.iter().all(|(.., used)| *used), "a module is no tasklet's")?;
        let is_tasklets = |channel: &Known| channel.own.is_none() || channel.made;
        let idle = self.channels.iter().any(|channel| is_tasklets(channel) && !channel.given);
        require(!idle, "a channel is neither the set's nor a tasklet's")
    }
}
