//! Channels that guests make. They have numbers instead of names, so that they are in nobody's way,
//! and are there as long as a tasklet has them.

use std::collections::BTreeMap;

use super::channel::{ChannelOptions, Preference};
use super::limits::{CHANNELS_MAX, MADE_NUMBER_MAX, MADE_TOTAL_MAX};
use super::queue::IdMap;
use super::seat::{Grant, Grants, Known, Made, code};
use super::{ChannelId, Scheduler, TaskletId};
use crate::error::Error;

/// What stands where a tasklet has dropped a channel, or where one has been removed: no channel has
/// that number.
pub(super) const REMOVED: ChannelId = ChannelId(0);

/// All of them.
#[derive(Debug, Default)]
pub(super) struct MadeChannels {
    by_number: BTreeMap<u64, ChannelId>,
    held: IdMap<ChannelId, Held>,
    /// The highest number that was given.
    last: u64,
}

#[derive(Debug)]
struct Held {
    number: u64,
    /// How often tasklets that are here have it.
    holds: usize,
}

impl MadeChannels {
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    pub(super) fn number(&self, id: ChannelId) -> Option<u64> {
        self.held.get(&id).map(|held| held.number)
    }

    pub(super) fn find(&self, number: u64) -> Option<ChannelId> {
        self.by_number.get(&number).copied()
    }

    /// Numbers up to this one are not given any more.
    pub(super) fn skip_to(&mut self, number: u64) {
        self.last = self.last.max(number);
    }

    pub(super) fn forget(&mut self, id: ChannelId) {
        if let Some(held) = self.held.remove(&id) {
            self.by_number.remove(&held.number);
        }
    }
}

/// Where a channel of a tasklet that comes in is to be found.
pub(super) enum Wanted {
    /// It has been dropped.
    Nothing,
    Here(ChannelId),
    /// It is made, as it was.
    Anew(Made),
}

impl Scheduler {
    /// The channels that a tasklet has, by the numbers that it knows them by; `None` for those that
    /// it has dropped, or that have been removed. Of one that is not here there are none.
    pub fn channels_of(&self, id: TaskletId) -> Vec<Option<ChannelId>> {
        let is_here = |channel: &ChannelId| self.core.channel(*channel).is_some();
        self.given(id).iter().map(|channel| Some(*channel).filter(is_here)).collect()
    }

    /// How many channels guests have made that are still there.
    pub fn made_channels(&self) -> usize {
        self.made.len()
    }

    /// By what a channel that is here is known.
    pub(super) fn known_as(&self, id: ChannelId) -> Option<Known> {
        if let Some(name) = self.channel_names.get(&id) {
            return Some(Known::Named(name.clone()));
        }
        let number = self.made.number(id)?;
        let channel = self.core.channel(id)?;
        Some(Known::Made(Made { number, options: channel.options, closed: channel.closed }))
    }

    /// Whether that many more can be made.
    pub(super) fn check_made(&self, more: usize) -> Result<(), Error> {
        let made = self.made.len().saturating_add(more);
        if made > MADE_TOTAL_MAX || self.names.len().saturating_add(made) > CHANNELS_MAX {
            return Err(Error::limit(format!(
                "more than {MADE_TOTAL_MAX} channels made by guests"
            )));
        }
        Ok(())
    }

    /// Makes one that nobody has yet, under a number that is free.
    pub(super) fn add_made(&mut self, number: u64, options: ChannelOptions) -> ChannelId {
        let id = self.core.add_channel(options);
        self.made.skip_to(number);
        self.made.by_number.insert(number, id);
        self.made.held.insert(id, Held { number, holds: 0 });
        id
    }

    /// The next number. Only where a stranger's file has had the highest are numbers used twice.
    pub(super) fn next_made(&self) -> u64 {
        match self.made.last {
            ..MADE_NUMBER_MAX => self.made.last + 1,
            _ => (1..).find(|number| self.made.find(*number).is_none()).unwrap_or(MADE_NUMBER_MAX),
        }
    }

    /// A tasklet asks for a channel; the number that it has for it, or a refusal.
    pub(super) fn make_channel(&mut self, id: TaskletId, preference: i32) -> Result<i64, Error> {
        let preference = match preference {
            ..=-1 => Preference::Receiver,
            0 => Preference::Neither,
            1 => Preference::Sender,
            2.. => Preference::Both,
        };
        let at = self.seat(id)?.channels.free();
        let Some(at) = at.filter(|_| self.check_made(1).is_ok()) else { return Ok(code::LIMIT) };
        let options = ChannelOptions { preference, external: false };
        let number = self.next_made();
        let channel = self.add_made(number, options);
        let made = Made { number, options, closed: false };
        let grant = Grant { guest: None, channel: Known::Made(made) };
        self.seat(id)?.channels.put(at, grant);
        let given = &mut self.member(id)?.channels;
        match given.get_mut(at) {
            Some(place) => *place = channel,
            None => given.push(channel),
        }
        self.hold(&[channel]);
        Ok(at as i64)
    }

    /// A tasklet has a channel no more.
    pub(super) fn drop_channel(&mut self, id: TaskletId, number: u32) -> Result<(), Error> {
        let channels = &mut self.seat(id)?.channels;
        channels.drop(number as usize);
        let len = channels.len();
        let given = &mut self.member(id)?.channels;
        let dropped = given.get_mut(number as usize).map(|at| std::mem::replace(at, REMOVED));
        given.truncate(len);
        self.release(dropped.as_slice());
        Ok(())
    }

    /// A tasklet that is here has these.
    pub(super) fn hold(&mut self, channels: &[ChannelId]) {
        if self.made.held.is_empty() {
            return;
        }
        for id in channels {
            if let Some(held) = self.made.held.get_mut(id) {
                held.holds += 1;
            }
        }
    }

    /// A tasklet has these no more. Those that nobody has are gone: nobody waits on them either, for
    /// who waits on a channel has it.
    pub(super) fn release(&mut self, channels: &[ChannelId]) {
        if self.made.held.is_empty() {
            return;
        }
        for id in channels {
            let Some(held) = self.made.held.get_mut(id) else { continue };
            held.holds = held.holds.saturating_sub(1);
            if held.holds == 0 {
                self.made.forget(*id);
                self.core.remove_channel(*id);
            }
        }
    }

    /// Notes in a tasklet how the channels are that guests have made, as a snapshot of it has to say.
    /// In one that is in the store this is noted when it comes back.
    pub(super) fn note_made(&mut self, id: TaskletId) {
        let Some(member) = self.tasklets.get_mut(&id) else { return };
        let Some(seat) = member.tasklet.store.data_mut().seat.as_mut() else { return };
        for (at, made) in seat.channels.made_mut() {
            match member.channels.get(at).and_then(|id| self.core.channel(*id)) {
                Some(channel) => (made.options, made.closed) = (channel.options, channel.closed),
                // It has been removed.
                None => made.closed = true,
            }
        }
    }

    /// Makes those that are to be made of the channels of a tasklet that comes in, and lets it know
    /// all of them as they are known here. Of one number one is made. `keeps` is whether it has the
    /// number that it had.
    pub(super) fn settle_grants(
        &mut self,
        grants: &mut Grants,
        wanted: Vec<Wanted>,
        keeps: bool,
    ) -> Vec<ChannelId> {
        let mut anew: BTreeMap<u64, ChannelId> = BTreeMap::new();
        let mut found = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            found.push(match wanted {
                Wanted::Nothing => REMOVED,
                Wanted::Here(id) => id,
                Wanted::Anew(made) => match anew.get(&made.number) {
                    Some(id) => *id,
                    None => {
                        let number = if keeps { made.number } else { self.next_made() };
                        let id = self.add_made(number, made.options);
                        if let Some(channel) = self.core.channel_mut(id) {
                            channel.closed = made.closed;
                        }
                        anew.insert(made.number, id);
                        id
                    }
                },
            });
        }
        for (grant, id) in grants.iter_mut().zip(&found) {
            if let (Some(grant), Some(known)) = (grant, self.known_as(*id)) {
                grant.channel = known;
            }
        }
        found
    }
}
