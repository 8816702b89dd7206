//! A set in.

use super::super::reader::{Map, Reader};
use super::super::writer::major;
use super::super::{Digest, Error, ErrorKind, ModuleRef, header};
use super::super::{decode, pages};
use super::rules::{self, Order};
use super::{
    Channel, ChannelState, FORMAT, Limits, Member, Place, SNAPSHOT_VERSION, Set, VERSION, encode,
};
use crate::sched::{ChannelOptions, Direction, Preference};

pub(super) fn read<'r>(
    mut reader: Reader<'r>,
    limits: &Limits,
) -> Result<(Set<'r>, Digest), Error> {
    let r = &mut reader;
    let version = prelude(r)?;
    r.version = SNAPSHOT_VERSION;
    let mut map = r.map("the header")?;
    let made = match version {
        1 => 0,
        _ => decode_made(r, &mut map)?,
    };
    r.key(&mut map, "labels")?;
    let labels = header::decode_labels(r)?;
    r.key(&mut map, "numbered")?;
    let at = r.at();
    let numbered = r.unsigned("a tasklet's number")?;
    r.rule(at, rules::numbered(numbered))?;
    r.end(map)?;
    let modules = decode_modules(r, limits)?;
    let channels = decode_channels(r, limits, made)?;
    let mut order = Order::new(numbered, &modules, &channels);
    let at = r.at();
    let len = length(r, limits.tasklets, "tasklets")?;
    let tasklets = r.items(len, |r| decode_member(r, limits, &mut order))?;
    r.rule(at, order.end())?;
    let digest = reader.finish()?;
    Ok((Set { numbered, made, labels, modules, channels, tasklets }, digest))
}

/// The version.
fn prelude(r: &mut Reader<'_>) -> Result<u64, Error> {
    let Some(found) = decode::begin(r, FORMAT)? else { return Err(ErrorKind::NotASet.into()) };
    match found.version {
        version @ 1..=VERSION => found.has_parts(encode::PARTS).map(|()| version),
        found => Err(ErrorKind::SetVersion { found }.into()),
    }
}

fn decode_made(r: &mut Reader<'_>, map: &mut Map) -> Result<u64, Error> {
    r.key(map, "made")?;
    let at = r.at();
    let made = r.unsigned("a channel's number")?;
    r.rule(at, rules::made(made))?;
    Ok(made)
}

/// Reads the head of a list, which holds at most so many.
fn length(r: &mut Reader<'_>, limit: u64, what: &'static str) -> Result<u64, Error> {
    let at = r.at();
    let len = r.expect(major::ARRAY, what)?;
    if len > limit {
        return Err(ErrorKind::Limit { at, what, limit }.into());
    }
    Ok(len)
}

fn decode_modules<'r>(r: &mut Reader<'r>, limits: &Limits) -> Result<Vec<ModuleRef<'r>>, Error> {
    let len = length(r, limits.modules, "modules")?;
    let mut previous = None;
    r.items(len, |r| {
        r.tuple(3, "a module")?;
        let at = r.at();
        let hash = Digest(r.bytes("a module hash")?);
        r.rule(at, rules::module(previous.replace(hash), hash))?;
        let size = r.unsigned("a module size")?;
        decode::decode_module(r, hash, size)
    })
}

fn decode_channels(
    r: &mut Reader<'_>,
    limits: &Limits,
    highest: u64,
) -> Result<Vec<Channel>, Error> {
    let len = length(r, limits.channels, "channels")?;
    let mut previous: Option<Channel> = None;
    r.items(len, |r| {
        r.tuple(2, "a channel")?;
        let at = r.at();
        // NB: version 1 has no numbers, and none is as low as its highest.
        let (name, made) = match r.text_or_number("a channel's name")? {
            Ok(name) => (name, None),
            Err(number) => (String::new(), Some(number)),
        };
        let own = if r.null()? { None } else { Some(decode_own(r)?) };
        let channel = Channel { name, made, own };
        r.rule(at, rules::channel(previous.as_ref(), &channel, highest))?;
        previous = Some(channel.clone());
        Ok(channel)
    })
}

fn decode_own(r: &mut Reader<'_>) -> Result<ChannelState, Error> {
    let mut map = r.map("a channel")?;
    r.key(&mut map, "closed")?;
    let closed = r.bool("whether a channel is closed")?;
    r.key(&mut map, "external")?;
    let external = r.bool("whether a channel is external")?;
    r.key(&mut map, "preference")?;
    let at = r.at();
    let text = r.text("a preference")?;
    let all = [Preference::Receiver, Preference::Neither, Preference::Sender, Preference::Both];
    let preference = all.into_iter().find(|one| encode::preference(*one) == text);
    let preference = preference.ok_or_else(|| Error::malformed(at, "unknown preference"))?;
    r.end(map)?;
    Ok(ChannelState { closed, options: ChannelOptions { preference, external } })
}

fn decode_member<'r>(
    r: &mut Reader<'r>,
    limits: &Limits,
    order: &mut Order,
) -> Result<Member<'r>, Error> {
    let at = r.at();
    r.tuple(7, "a tasklet")?;
    let number = r.unsigned("a tasklet's number")?;
    let place = decode_place(r)?;
    let len = length(r, limits.grants, "channels of a tasklet")?;
    let channels = r.items(len, |r| r.index_or_null("a channel's position"))?;
    r.rule(at, order.place(number, place, &channels))?;
    let at = r.at();
    let header = header::decode_header(r)?;
    let module = ModuleRef { hash: header.module_hash, size: header.module_size, bytes: None };
    let snapshot = decode::decode_body(r, header, module, pages::Layout::Packed)?;
    r.rule(at, order.snapshot(&snapshot))?;
    Ok(Member { number, place, channels, snapshot })
}

fn decode_place(r: &mut Reader<'_>) -> Result<Place, Error> {
    let at = r.at();
    let (name, parts) = r.choice("a place")?;
    let place = match (name.as_str(), parts) {
        ("ready", 0) => Place::Ready,
        ("waiting", 0) => Place::Waiting,
        ("sending", 1) => Place::Blocked(r.u32("a channel's position")?, Direction::Send),
        ("receiving", 1) => Place::Blocked(r.u32("a channel's position")?, Direction::Receive),
        ("paused", 0) => Place::Paused,
        _ => return Err(Error::malformed(at, "unknown kind of place")),
    };
    Ok(place)
}
