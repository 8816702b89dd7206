//! The format of sets, version 2: many tasklets and the channels between them in one file.
//!
//! What a tasklet is stands here as in a [`Snapshot`], and each module once. What is between them is
//! here alone: which channels there are, who stands where, and in which order.
//! `docs/snapshot-format.md` is the specification.

mod decode;
mod encode;
mod limits;
mod rules;

use std::io::{Read, Write};

pub use encode::Writer;
pub use limits::Limits;

use super::reader::Reader;
use super::source::Source;
use super::{Digest, Error, ModuleRef, Snapshot};
use crate::sched::{ChannelOptions, Direction};

/// The version this build writes. It reads this one and those before.
pub const VERSION: u64 = 2;

/// The format's name, the first element of every set of every version.
pub const FORMAT: &str = "tasklet-set";

/// The version of the snapshots' format that the tasklets are written in.
const SNAPSHOT_VERSION: u64 = 3;

/// The highest number that a tasklet can have: guests see it as an `i64` above zero.
const NUMBER_MAX: u64 = i64::MAX as u64;

/// The highest number that a channel can have that a guest made.
const MADE_MAX: u64 = 1 << 62;

/// Tasklets, and what is between them.
#[derive(Debug, Clone, PartialEq)]
pub struct Set<'a> {
    /// The highest number that was given to a tasklet where these come from.
    pub numbered: u64,
    /// The highest number that was given to a channel that a guest made. In version 1 there were none.
    pub made: u64,
    /// Words for people and tools, without effect. Written sorted; names are unique.
    pub labels: Vec<(String, String)>,
    /// The modules of the tasklets, each once, ascending by hash.
    pub modules: Vec<ModuleRef<'a>>,
    /// The channels that tasklets have, and others that belong to the set; in the order of their
    /// names, in which a shorter one comes first, and behind them those that guests made by number.
    pub channels: Vec<Channel>,
    /// The tasklets: those that are ready in the order in which they will run, those that wait for
    /// the system in the order in which they came, those that wait on channels by channel and in the
    /// order of its line, those that are paused by number.
    pub tasklets: Vec<Member<'a>>,
}

/// A channel of a [`Set`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name; empty if a guest made it.
    pub name: String,
    /// Its number, if a guest made it.
    pub made: Option<u64>,
    /// How it behaves, if it belongs to the set, as those do that guests made; otherwise it is one
    /// that is found by name where the set is loaded.
    pub own: Option<ChannelState>,
}

/// A channel that belongs to a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelState {
    /// Whether it is closed; then nobody waits on it.
    pub closed: bool,
    /// How it behaves.
    pub options: ChannelOptions,
}

/// A tasklet of a [`Set`].
#[derive(Debug, Clone, PartialEq)]
pub struct Member<'a> {
    /// The number that it had, from 1 on.
    pub number: u64,
    /// Where it stands.
    pub place: Place,
    /// The channels that it has, as positions in [`Set::channels`]; `None` for one that has been
    /// removed, or that it has dropped. In the order in which the guest's numbers for them count.
    pub channels: Vec<Option<u32>>,
    /// The tasklet. It has no base, no labels and no bytes of its module: these are the set's.
    pub snapshot: Snapshot<'a>,
}

/// Where a tasklet stands. Among those who stand in one place their order in the set is that in
/// which their turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It can run.
    Ready,
    /// It waits for a clock, or for input.
    Waiting,
    /// It waits on the channel at that position in [`Set::channels`].
    Blocked(u32, Direction),
    /// It stands still until it is inserted.
    Paused,
}

impl Set<'_> {
    /// Writes the set and returns its digest.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](super::ErrorKind::Invalid) if it breaks a rule of the format,
    /// [`ErrorKind::Io`](super::ErrorKind::Io) if `out` fails. What was written then is incomplete.
    pub fn write_to(&self, out: &mut impl Write) -> Result<Digest, Error> {
        let (modules, channels) = (&self.modules, &self.channels);
        let count = self.tasklets.len() as u64;
        let numbers = (self.numbered, self.made);
        let mut writer = Writer::new(out, numbers, &self.labels, modules, channels, count)?;
        for one in &self.tasklets {
            writer.tasklet(one.number, one.place, &one.channels, &one.snapshot)?;
        }
        writer.finish()
    }

    /// Reads a set to the end of `input` and returns it with its digest.
    ///
    /// Nothing is handed out before the digest has been found to match. Memory is allocated as bytes
    /// arrive, never on the word of a length.
    ///
    /// # Errors
    /// See [`ErrorKind`](super::ErrorKind): any input whatever gives a set or an error.
    pub fn read_from(
        input: &mut impl Read,
        limits: &Limits,
    ) -> Result<(Set<'static>, Digest), Error> {
        let (set, digest) = decode::read(Reader::new(input, &limits.snapshots), limits)?;
        Ok((set.into_owned(), digest))
    }

    /// Reads a set that is in memory as a whole, and lends the modules and the pages from there.
    ///
    /// # Errors
    /// As [`Set::read_from`].
    pub fn read_slice<'b>(bytes: &'b [u8], limits: &Limits) -> Result<(Set<'b>, Digest), Error> {
        decode::read(Reader::of(Source::whole(bytes), &limits.snapshots), limits)
    }

    /// The set with its own copy of what it borrows.
    pub fn into_owned(self) -> Set<'static> {
        let own = |one: Member<'_>| {
            let Member { number, place, channels, snapshot } = one;
            Member { number, place, channels, snapshot: snapshot.into_owned() }
        };
        Set {
            modules: self.modules.into_iter().map(ModuleRef::into_owned).collect(),
            tasklets: self.tasklets.into_iter().map(own).collect(),
            ..self
        }
    }
}
