//! Messages of values of serde's.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Message;
use super::limits::MESSAGE_BYTES_MAX;
use crate::encoding;
use crate::error::Error;

impl Message {
    /// A message of a value: its deterministic CBOR (RFC 8949, section 4.2.1), as the SDK of guests
    /// reads and writes it.
    ///
    /// ```
    /// # use tasklet_engine::Message;
    /// # fn main() -> Result<(), tasklet_engine::Error> {
    /// let message = Message::encode(&("half", 0.5))?;
    /// assert_eq!(message, Message::Data(b"\x82\x64half\xf9\x38\x00".to_vec()));
    /// assert_eq!(message.decode::<(String, f64)>()?, ("half".to_string(), 0.5));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Encoding`] when the value has no such form, is nested more than 64 levels deep, or
    /// takes more than the 16 MiB of a message.
    pub fn encode(value: &impl Serialize) -> Result<Message, Error> {
        encoding::encode(value, MESSAGE_BYTES_MAX).map(Message::Data)
    }

    /// An error of a value, in the same encoding.
    ///
    /// # Errors
    /// As [`encode`](Message::encode).
    pub fn encode_error(value: &impl Serialize) -> Result<Message, Error> {
        encoding::encode(value, MESSAGE_BYTES_MAX).map(Message::Error)
    }

    /// The value of a message, or of an error. Any well-formed CBOR will do, within the limits of
    /// [`encode`](Message::encode); nothing may follow the value.
    ///
    /// # Errors
    /// [`Error::Encoding`].
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        encoding::decode(self.bytes(), MESSAGE_BYTES_MAX)
    }

    /// What is in it.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Message::Data(bytes) | Message::Error(bytes) => bytes,
        }
    }
}
