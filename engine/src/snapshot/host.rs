//! Host state: CBOR values of the host's own making, held to the same determinism.

use super::limits::HOST_DEPTH_MAX;
use super::reader::Reader;
use super::rules::{Rule, names_ascending, sorted_names};
use super::writer::{Writer, major, simple};
use super::{Error, ErrorKind, HostValue};

/// Why a value that CBOR knows is refused.
const UNSUPPORTED: &str = "host state holds integers of 64 bits, bytes, text, booleans, null, \
                           arrays and maps only";
const MAP_KEYS: &str = "keys of maps in host state are integers, bytes or text";
const MAP_ORDER: &str = "keys of a map in host state are not unique and sorted";

pub(super) fn encode_host(host: &[(String, HostValue)], w: &mut Writer<'_>) -> Result<(), Error> {
    w.map(host.len())?;
    for (name, value) in sorted_names(host) {
        w.text(name)?;
        encode(value, w)?;
    }
    Ok(())
}

fn encode(value: &HostValue, w: &mut Writer<'_>) -> Result<(), Error> {
    match value {
        HostValue::Null => w.null(),
        HostValue::Bool(value) => {
            w.head(major::SIMPLE, if *value { simple::TRUE } else { simple::FALSE })
        }
        HostValue::Integer(value) => match integer_head(*value) {
            Some((major, argument)) => w.head(major, argument),
            None => Err(ErrorKind::Invalid { what: UNSUPPORTED }.into()),
        },
        HostValue::Bytes(bytes) => w.bytes(bytes),
        HostValue::Text(text) => w.text(text),
        HostValue::Array(items) => {
            w.array(items.len())?;
            items.iter().try_for_each(|item| encode(item, w))
        }
        HostValue::Map(pairs) => {
            let mut pairs: Vec<_> = pairs.iter().collect();
            pairs.sort_by(|a, b| sort_key(&a.0).cmp(&sort_key(&b.0)));
            w.map(pairs.len())?;
            for (key, value) in pairs {
                encode(key, w)?;
                encode(value, w)?;
            }
            Ok(())
        }
        _ => Err(ErrorKind::Invalid { what: UNSUPPORTED }.into()),
    }
}

/// An integer's major type and argument, unless it takes more than 64 bits.
fn integer_head(value: ciborium::value::Integer) -> Option<(u8, u64)> {
    let value = i128::from(value);
    let (major, argument) =
        if value < 0 { (major::NEGATIVE, !value) } else { (major::UNSIGNED, value) };
    Some((major, u64::try_from(argument).ok()?))
}

/// By what map keys sort as their encodings do: in the shortest form, heads
/// sort by major type and then argument, which for strings is the length.
fn sort_key(key: &HostValue) -> Option<(u8, u64, &[u8])> {
    match key {
        HostValue::Integer(value) => {
            integer_head(*value).map(|(major, argument)| (major, argument, &[][..]))
        }
        HostValue::Bytes(bytes) => Some((major::BYTES, bytes.len() as u64, bytes)),
        HostValue::Text(text) => Some((major::TEXT, text.len() as u64, text.as_bytes())),
        _ => None,
    }
}

/// Puts the maps within a value into the order in which they are written.
pub(crate) fn sort(value: &mut HostValue) {
    match value {
        HostValue::Array(items) => items.iter_mut().for_each(sort),
        HostValue::Map(pairs) => {
            pairs.sort_by(|a, b| sort_key(&a.0).cmp(&sort_key(&b.0)));
            pairs.iter_mut().for_each(|(_, value)| sort(value));
        }
        _ => {}
    }
}

/// Whether the value can be written, at most `depth` levels of arrays and maps deep.
fn check_value(value: &HostValue, depth: u64) -> Rule {
    match value {
        HostValue::Null | HostValue::Bool(_) | HostValue::Bytes(_) | HostValue::Text(_) => Ok(()),
        HostValue::Integer(value) => integer_head(*value).map(|_| ()).ok_or(UNSUPPORTED),
        HostValue::Array(items) => {
            let depth = depth.checked_sub(1).ok_or("host state is nested too deep")?;
            items.iter().try_for_each(|item| check_value(item, depth))
        }
        HostValue::Map(pairs) => {
            let depth = depth.checked_sub(1).ok_or("host state is nested too deep")?;
            let keys: Option<Vec<_>> = pairs.iter().map(|(key, _)| sort_key(key)).collect();
            let mut keys = keys.ok_or(MAP_KEYS)?;
            keys.sort_unstable();
            if !keys.is_sorted_by(|a, b| a < b) {
                return Err(MAP_ORDER);
            }
            pairs.iter().try_for_each(|(_, item)| check_value(item, depth))
        }
        _ => Err(UNSUPPORTED),
    }
}

pub(super) fn check(host: &[(String, HostValue)]) -> Rule {
    host.iter().try_for_each(|(_, value)| check_value(value, HOST_DEPTH_MAX))
}

pub(super) fn decode_host(r: &mut Reader<'_>) -> Result<Vec<(String, HostValue)>, Error> {
    let depth = r.limits.host_depth.min(HOST_DEPTH_MAX);
    let mut previous: Option<String> = None;
    r.pairs(
        |limits| &mut limits.host_namespaces,
        "host state",
        |r| {
            let at = r.at();
            let name = r.text("a namespace")?;
            r.rule(at, names_ascending(previous.as_deref(), &name))?;
            previous = Some(name.clone());
            Ok((name, decode(r, depth)?))
        },
    )
}

fn decode(r: &mut Reader<'_>, depth: u64) -> Result<HostValue, Error> {
    let at = r.at();
    r.spend(at, 1, |limits| &mut limits.host_values, "host values")?;
    let (found, argument) = r.head()?;
    if matches!(found, major::ARRAY | major::MAP) && depth == 0 {
        let limit = r.limits.host_depth.min(HOST_DEPTH_MAX);
        return Err(ErrorKind::Limit { at, what: "nesting of host state", limit }.into());
    }
    if matches!(found, major::BYTES | major::TEXT) {
        r.spend(at, argument, |limits| &mut limits.host_bytes, "bytes of host state")?;
    }
    Ok(match (found, argument) {
        (major::UNSIGNED, argument) => HostValue::Integer(argument.into()),
        (major::NEGATIVE, argument) => {
            let value = -1 - i128::from(argument);
            HostValue::Integer(value.try_into().map_err(|_| Error::malformed(at, UNSUPPORTED))?)
        }
        (major::BYTES, len) => HostValue::Bytes(r.raw(len)?),
        (major::TEXT, len) => HostValue::Text(r.text_body(at, len)?),
        // NB: no room is made ahead; each level of the nesting would make its own.
        (major::ARRAY, len) => {
            HostValue::Array((0..len).map(|_| decode(r, depth - 1)).collect::<Result<_, _>>()?)
        }
        (major::MAP, len) => decode_map(r, len, depth - 1)?,
        (major::SIMPLE, simple::FALSE) => HostValue::Bool(false),
        (major::SIMPLE, simple::TRUE) => HostValue::Bool(true),
        (major::SIMPLE, simple::NULL) => HostValue::Null,
        _ => return Err(Error::malformed(at, UNSUPPORTED)),
    })
}

fn decode_map(r: &mut Reader<'_>, len: u64, depth: u64) -> Result<HostValue, Error> {
    let mut pairs: Vec<(HostValue, HostValue)> = Vec::new();
    for _ in 0..len {
        let at = r.at();
        // A key is no array and no map, so it needs no depth.
        let key = decode(r, 0)?;
        let order = sort_key(&key).ok_or(MAP_KEYS).and_then(|this| {
            let previous = pairs.last().and_then(|(previous, _)| sort_key(previous));
            if previous.is_none_or(|previous| previous < this) { Ok(()) } else { Err(MAP_ORDER) }
        });
        r.rule(at, order)?;
        pairs.push((key, decode(r, depth)?));
    }
    Ok(HostValue::Map(pairs))
}
