//! Why something could not be done.

use core::fmt;

use crate::sys;

/// Why something could not be done.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The channel is closed.
    Closed,
    /// It would have to wait, and was told not to.
    WouldBlock,
    /// The tasklet has no channel of that name or number.
    NoChannel,
    /// A host import that called back is on the native stack: nothing can wait below it.
    InCallback,
    /// A limit of the scheduler's is exceeded.
    Limit,
    /// The module exports no function of that name without parameters and results.
    NoEntry,
    /// The time is up.
    TimedOut,
    /// What was received is an error, which somebody has sent.
    Sent(Payload),
    /// Somebody has thrown this into the tasklet while it waited.
    Thrown(Payload),
    /// The message is not the CBOR of a value of that type, or the value cannot be written as CBOR.
    Cbor,
    /// This is no tasklet: the program was not compiled to WebAssembly.
    NotAGuest,
    /// A refusal that this version of the crate does not know.
    Other(i64),
}

/// The bytes of an error that was received.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    #[cfg(feature = "alloc")]
    bytes: alloc::vec::Vec<u8>,
    #[cfg(not(feature = "alloc"))]
    len: usize,
}

impl Payload {
    /// What the scheduler still has of the message that was received last.
    pub(crate) fn of_last_message() -> Payload {
        let len = sys::rest(0, &mut []);
        #[cfg(feature = "alloc")]
        return Payload { bytes: crate::channel::rest_of(alloc::vec::Vec::new(), len) };
        #[cfg(not(feature = "alloc"))]
        return Payload { len };
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn new(bytes: alloc::vec::Vec<u8>) -> Payload {
        Payload { bytes }
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        #[cfg(feature = "alloc")]
        return self.bytes.len();
        #[cfg(not(feature = "alloc"))]
        return self.len;
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies as much of it as there is room for, and returns how much that is. Without the feature
    /// `alloc` it is there only until the next message is received.
    pub fn read(&self, room: &mut [u8]) -> usize {
        #[cfg(feature = "alloc")]
        {
            let len = self.bytes.len().min(room.len());
            room[..len].copy_from_slice(&self.bytes[..len]);
            len
        }
        #[cfg(not(feature = "alloc"))]
        return sys::rest(0, room).min(room.len());
    }

    /// The bytes.
    #[cfg(feature = "alloc")]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(feature = "alloc")]
        return f.debug_tuple("Payload").field(&self.bytes).finish();
        #[cfg(not(feature = "alloc"))]
        return f.debug_struct("Payload").field("len", &self.len).finish_non_exhaustive();
    }
}

impl Error {
    /// What a negative answer means.
    pub(crate) fn of(code: i64) -> Error {
        match code {
            -1 => Error::Closed,
            -2 => Error::WouldBlock,
            -3 => Error::NoChannel,
            -4 => Error::InCallback,
            -5 => Error::Limit,
            -6 => Error::NoEntry,
            -7 => Error::TimedOut,
            -8 => Error::Thrown(Payload::of_last_message()),
            sys::NOT_A_GUEST => Error::NotAGuest,
            other => Error::Other(other),
        }
    }

    fn text(&self) -> &'static str {
        match self {
            Error::Closed => "the channel is closed",
            Error::WouldBlock => "it would have to wait",
            Error::NoChannel => "no such channel",
            Error::InCallback => "a host import is on the native stack",
            Error::Limit => "a limit is exceeded",
            Error::NoEntry => "no exported function of that name without parameters and results",
            Error::TimedOut => "the time is up",
            Error::Sent(_) => "an error was received",
            Error::Thrown(_) => "an error was thrown into the tasklet",
            Error::Cbor => "not the CBOR of such a value",
            Error::NotAGuest => "this is not a tasklet of a scheduler",
            Error::Other(_) => "an unknown refusal",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())?;
        match self {
            Error::Other(code) => write!(f, ": {code}"),
            #[cfg(feature = "alloc")]
            Error::Sent(payload) | Error::Thrown(payload) => {
                write!(f, ": {}", alloc::string::String::from_utf8_lossy(payload.bytes()))
            }
            _ => Ok(()),
        }
    }
}

impl core::error::Error for Error {}

/// An answer that is a code: 0 or more, or a refusal.
pub(crate) fn checked(code: i64) -> Result<u64, Error> {
    u64::try_from(code).map_err(|_| Error::of(code))
}
