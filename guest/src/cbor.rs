//! Messages that are values, in CBOR, byte for byte as the engine's `Message::encode` writes them: with
//! the keys of maps in order.

use alloc::vec::Vec;

use ciborium::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::channel::Channel;
use crate::error::{Error, Payload};

/// How deep arrays, maps and tags may be nested, as in the engine: they are walked recursively.
const DEPTH_MAX: usize = 64;

impl Channel {
    /// Hands over a value, as [`send`](Channel::send) does bytes.
    ///
    /// # Errors
    /// [`Error::Cbor`]; else as [`send`](Channel::send).
    pub fn send_value<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.send(&encode(value)?)
    }

    /// Hands over a value as an error, as [`send_error`](Channel::send_error) does bytes.
    ///
    /// # Errors
    /// [`Error::Cbor`]; else as [`send`](Channel::send).
    pub fn send_error_value<T: Serialize + ?Sized>(self, error: &T) -> Result<(), Error> {
        self.send_error(&encode(error)?)
    }

    /// Waits for a value.
    ///
    /// # Errors
    /// [`Error::Cbor`] if the message is not one of that type; it is gone then. Else as
    /// [`receive`](Channel::receive).
    pub fn receive_value<T: DeserializeOwned>(self) -> Result<T, Error> {
        decode(&self.receive()?)
    }
}

impl Payload {
    /// The value that was sent as an error.
    ///
    /// # Errors
    /// [`Error::Cbor`].
    pub fn value<T: DeserializeOwned>(&self) -> Result<T, Error> {
        decode(self.bytes())
    }
}

/// The argument that this tasklet was spawned with, as a value.
///
/// # Errors
/// [`Error::Cbor`].
pub fn argument_value<T: DeserializeOwned>() -> Result<T, Error> {
    decode(&crate::argument())
}

/// The CBOR of a value. Equal values give equal bytes.
///
/// # Errors
/// [`Error::Cbor`] if its `Serialize` fails, or it is nested more than 64 levels deep.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut value = Value::serialized(&value).map_err(|_| Error::Cbor)?;
    sort(&mut value, DEPTH_MAX)?;
    written(&value)
}

/// The value that has this CBOR, with nothing behind it.
///
/// # Errors
/// [`Error::Cbor`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let mut left = bytes;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut left, DEPTH_MAX)
        .map_err(|_| Error::Cbor)?;
    if left.is_empty() { Ok(value) } else { Err(Error::Cbor) }
}

fn written(value: &Value) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|_| Error::Cbor)?;
    Ok(bytes)
}

/// Puts the keys of maps in the order of their bytes, which are unique.
fn sort(value: &mut Value, depth: usize) -> Result<(), Error> {
    let below = || depth.checked_sub(1).ok_or(Error::Cbor);
    match value {
        Value::Array(items) => {
            let depth = below()?;
            items.iter_mut().try_for_each(|item| sort(item, depth))
        }
        Value::Tag(_, inner) => sort(inner, below()?),
        Value::Map(pairs) => {
            let depth = below()?;
            let mut keyed = Vec::with_capacity(pairs.len());
            for (mut key, mut item) in core::mem::take(pairs) {
                sort(&mut key, depth)?;
                sort(&mut item, depth)?;
                keyed.push((written(&key)?, (key, item)));
            }
            keyed.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            if !keyed.is_sorted_by(|(a, _), (b, _)| a < b) {
                return Err(Error::Cbor);
            }
            *pairs = keyed.into_iter().map(|(_, pair)| pair).collect();
            Ok(())
        }
        _ => Ok(()),
    }
}
