//! What can be wrong with a snapshot.

use std::fmt;
use std::io;

use super::VERSION;
use super::set::VERSION as SET_VERSION;

/// An error of reading or writing a snapshot; [`Error::kind`] tells which.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    source: Option<io::Error>,
}

/// The kinds of [`Error`]. Offsets are bytes from the start of the input.
///
/// Damage is noticed by whatever it breaks first: a flipped bit may show as
/// any kind but `Io` and `Invalid`, and as `Digest` if the structure survived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The reader or writer given failed, or memory ran out; the cause is the error's source.
    #[error("input or output failed: {0}")]
    Io(io::ErrorKind),
    /// The input does not begin as a snapshot of any version does.
    #[error("not a tasklet snapshot")]
    NotASnapshot,
    /// The input does not begin as a set of tasklets of any version does.
    #[error("not a set of tasklets")]
    NotASet,
    /// The input ended before the snapshot did.
    #[error("snapshot is cut off at byte {at}")]
    Truncated {
        /// Length of the input.
        at: u64,
    },
    /// A snapshot of a version that this build does not read.
    #[error("snapshot has format version {found}, this build reads versions 1 to {VERSION}")]
    Version {
        /// The version found.
        found: u64,
    },
    /// A set of tasklets of a version that this build does not read.
    #[error("set of tasklets has format version {found}, this build reads version {SET_VERSION}")]
    SetVersion {
        /// The version found.
        found: u64,
    },
    /// The bytes are not those that were written.
    #[error("snapshot is damaged: its bytes do not match its digest")]
    Digest,
    /// The bytes break a rule of the format.
    #[error("snapshot is malformed at byte {at}: {what}")]
    Malformed {
        /// Offset of the item that breaks it.
        at: u64,
        /// The rule, or what was found.
        what: String,
    },
    /// The snapshot asks for more than the reader's [`Limits`](super::Limits) allow.
    #[error("snapshot exceeds a limit at byte {at}: {what}, at most {limit}")]
    Limit {
        /// Offset of the item that asks.
        at: u64,
        /// The limited quantity.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The snapshot lies in a compressed stream that is damaged or takes too much memory.
    #[error("snapshot is compressed, and cannot be decompressed: {what}")]
    Compressed {
        /// What the decompressor says.
        what: String,
    },
    /// The base given for a snapshot is not the one it is to be laid over.
    #[error("snapshot cannot be laid over the base given: {what}")]
    Base {
        /// Why not.
        what: &'static str,
    },
    /// A snapshot to be written breaks a rule of the format; nothing was written.
    #[error("snapshot cannot be written: {what}")]
    Invalid {
        /// The rule.
        what: &'static str,
    },
}

impl Error {
    /// What kind of error it is, with its particulars.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    pub(super) fn malformed(at: u64, what: impl Into<String>) -> Error {
        ErrorKind::Malformed { at, what: what.into() }.into()
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Error {
        Error { kind, source: None }
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Error {
        Error { kind: ErrorKind::Io(source.kind()), source: Some(source) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
