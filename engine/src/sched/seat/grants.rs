//! The channels that a tasklet has, by the numbers that it knows them by.

use crate::sched::channel::ChannelOptions;
use crate::sched::limits::{GRANTS_MAX, MADE_MAX};

/// A channel that a tasklet has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// What the guest calls it; one that a guest made has no name.
    pub(crate) guest: Option<String>,
    pub(crate) channel: Known,
}

/// By what a channel is known in its scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// The name that the program outside gave it.
    Named(String),
    /// A guest made it.
    Made(Made),
}

/// A channel that a guest made. How it behaves is as noted last, for a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) number: u64,
    pub(crate) options: ChannelOptions,
    pub(crate) closed: bool,
}

/// Where a number is that the tasklet has dropped there is nothing. The last one is something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Grants(Vec<Option<Grant>>);

impl Grants {
    /// The list that says the same without nothing at its end.
    pub(crate) fn new(mut all: Vec<Option<Grant>>) -> Grants {
        while all.last().is_some_and(Option::is_none) {
            all.pop();
        }
        Grants(all)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<&Grant>> {
        self.0.iter().map(Option::as_ref)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = Option<&mut Grant>> {
        self.0.iter_mut().map(Option::as_mut)
    }

    /// Those that guests made, and their numbers here.
    pub(crate) fn made_mut(&mut self) -> impl Iterator<Item = (usize, &mut Made)> {
        self.0.iter_mut().enumerate().filter_map(|(at, grant)| match grant {
            Some(Grant { channel: Known::Made(made), .. }) => Some((at, made)),
            _ => None,
        })
    }

    /// The number of the one that the guest calls so.
    pub(crate) fn find(&self, guest: &[u8]) -> Option<usize> {
        let name = |grant: &Grant| grant.guest.as_ref().is_some_and(|it| it.as_bytes() == guest);
        self.0.iter().position(|grant| grant.as_ref().is_some_and(name))
    }

    pub(crate) fn has(&self, number: u32) -> bool {
        self.0.get(number as usize).is_some_and(Option::is_some)
    }

    /// The number that one more would have: the lowest that is free. `None` if there are too many.
    pub(crate) fn free(&self) -> Option<usize> {
        let is_made =
            |grant: &&Option<Grant>| matches!(grant, Some(Grant { channel: Known::Made(_), .. }));
        let at = self.0.iter().position(Option::is_none).unwrap_or(self.0.len());
        (at < GRANTS_MAX && self.0.iter().filter(is_made).count() < MADE_MAX).then_some(at)
    }

    /// Has one under a number that is free.
    pub(crate) fn put(&mut self, at: usize, grant: Grant) {
        match self.0.get_mut(at) {
            Some(place) => *place = Some(grant),
            None => self.0.push(Some(grant)),
        }
    }

    /// Has one no more.
    pub(crate) fn drop(&mut self, at: usize) {
        if let Some(place) = self.0.get_mut(at) {
            *place = None;
        }
        *self = Grants::new(std::mem::take(&mut self.0));
    }
}
