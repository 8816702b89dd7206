//! Messages that are values, in CBOR, as the engine's `Message::encode` writes them.

use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::channel::Channel;
use crate::error::{Error, Payload};

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

/// The CBOR of a value.
///
/// # Errors
/// [`Error::Cbor`] if its `Serialize` fails.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|_| Error::Cbor)?;
    Ok(bytes)
}

/// The value that has this CBOR, with nothing behind it.
///
/// # Errors
/// [`Error::Cbor`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let mut left = bytes;
    let value = ciborium::from_reader(&mut left).map_err(|_| Error::Cbor)?;
    if left.is_empty() { Ok(value) } else { Err(Error::Cbor) }
}
