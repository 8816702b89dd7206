//! A set out, one tasklet after the other.

use std::io::Write;

use super::super::encode::{TAG, encode_state};
use super::super::rules::{self as snapshot_rules, sorted_names};
use super::super::writer::{self, major};
use super::super::{Digest, Error, ErrorKind, ModuleRef, Snapshot, header, pages};
use super::rules::{self, Order};
use super::{Channel, FORMAT, Place, VERSION};
use crate::sched::{Direction, Preference};

/// Elements of the outer array.
pub(super) const PARTS: u8 = 7;

pub(super) fn preference(preference: Preference) -> &'static str {
    match preference {
        Preference::Receiver => "receiver",
        Preference::Neither => "neither",
        Preference::Sender => "sender",
        Preference::Both => "both",
    }
}

fn invalid(what: &'static str) -> Error {
    ErrorKind::Invalid { what }.into()
}

/// Writes a set without having all of it: the tasklets come one by one, and the pages of each go from
/// where they live straight to the output.
pub struct Writer<'w> {
    writer: writer::Writer<'w>,
    order: Order,
    left: u64,
}

impl<'w> Writer<'w> {
    /// Writes what comes before the tasklets, of which there will be `count`. What the arguments are
    /// is said at the fields of [`Set`](super::Set).
    ///
    /// # Errors
    /// Those of [`Set::write_to`](super::Set::write_to).
    pub fn new(
        out: &'w mut dyn Write,
        (numbered, made): (u64, u64),
        labels: &[(String, String)],
        modules: &[ModuleRef<'_>],
        channels: &[Channel],
        count: u64,
    ) -> Result<Writer<'w>, Error> {
        rules::numbered(numbered).map_err(invalid)?;
        rules::made(made).map_err(invalid)?;
        snapshot_rules::unique_names(labels).map_err(invalid)?;
        let mut writer = writer::Writer::new(out);
        let w = &mut writer;
        w.raw(&TAG)?;
        w.head(major::ARRAY, u64::from(PARTS))?;
        w.text(FORMAT)?;
        w.unsigned(VERSION)?;
        w.map(3)?;
        w.text("made")?;
        w.unsigned(made)?;
        w.text("labels")?;
        w.map(labels.len())?;
        for (name, text) in sorted_names(labels) {
            w.text(name)?;
            w.text(text)?;
        }
        w.text("numbered")?;
        w.unsigned(numbered)?;
        encode_modules(modules, w)?;
        encode_channels(channels, made, w)?;
        w.head(major::ARRAY, count)?;
        Ok(Writer { order: Order::new(numbered, modules, channels), writer, left: count })
    }

    /// Writes the next tasklet; see the fields of [`Member`](super::Member). The bytes of the
    /// snapshot's module, if it has them, are left out.
    ///
    /// # Errors
    /// Those of [`Set::write_to`](super::Set::write_to).
    pub fn tasklet(
        &mut self,
        number: u64,
        place: Place,
        channels: &[Option<u32>],
        snapshot: &Snapshot<'_>,
    ) -> Result<(), Error> {
        let left = self.left.checked_sub(1);
        self.left = left.ok_or_else(|| invalid("there are more tasklets than were said"))?;
        self.order.place(number, place, channels).map_err(invalid)?;
        self.order.snapshot(snapshot).map_err(invalid)?;
        snapshot_rules::check(snapshot).map_err(invalid)?;
        let w = &mut self.writer;
        w.array(7)?;
        w.unsigned(number)?;
        encode_place(place, w)?;
        w.array(channels.len())?;
        channels.iter().try_for_each(|&channel| w.index_or_null(channel))?;
        header::encode_header(snapshot, w)?;
        encode_state(snapshot, w)?;
        pages::encode_memories(&snapshot.memories, w, pages::Layout::Packed)
    }

    /// Writes the end, and returns the digest of all.
    ///
    /// # Errors
    /// Those of [`Set::write_to`](super::Set::write_to).
    pub fn finish(self) -> Result<Digest, Error> {
        if self.left > 0 {
            return Err(invalid("there are fewer tasklets than were said"));
        }
        self.order.end().map_err(invalid)?;
        self.writer.finish()
    }
}

impl std::fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("left", &self.left).finish_non_exhaustive()
    }
}

fn encode_modules(modules: &[ModuleRef<'_>], w: &mut writer::Writer<'_>) -> Result<(), Error> {
    w.array(modules.len())?;
    let mut previous = None;
    for module in modules {
        rules::module(previous.replace(module.hash), module.hash).map_err(invalid)?;
        snapshot_rules::module(module).map_err(invalid)?;
        w.array(3)?;
        w.bytes(&module.hash.0)?;
        w.unsigned(module.size)?;
        match &module.bytes {
            Some(bytes) => w.bytes(bytes)?,
            None => w.null()?,
        }
    }
    Ok(())
}

fn encode_channels(
    channels: &[Channel],
    made: u64,
    w: &mut writer::Writer<'_>,
) -> Result<(), Error> {
    w.array(channels.len())?;
    let mut previous: Option<&Channel> = None;
    for channel in channels {
        rules::channel(previous.replace(channel), channel, made).map_err(invalid)?;
        w.array(2)?;
        match channel.made {
            Some(number) => w.unsigned(number)?,
            None => w.text(&channel.name)?,
        }
        let Some(own) = &channel.own else {
            w.null()?;
            continue;
        };
        w.map(3)?;
        w.text("closed")?;
        w.bool(own.closed)?;
        w.text("external")?;
        w.bool(own.options.external)?;
        w.text("preference")?;
        w.text(preference(own.options.preference))?;
    }
    Ok(())
}

fn encode_place(place: Place, w: &mut writer::Writer<'_>) -> Result<(), Error> {
    let (name, channel) = match place {
        Place::Ready => ("ready", None),
        Place::Waiting => ("waiting", None),
        Place::Blocked(channel, Direction::Send) => ("sending", Some(channel)),
        Place::Blocked(channel, Direction::Receive) => ("receiving", Some(channel)),
        Place::Paused => ("paused", None),
    };
    w.array(1 + usize::from(channel.is_some()))?;
    w.text(name)?;
    channel.map_or(Ok(()), |channel| w.unsigned(channel))
}
