//! The one error type of this crate.

use std::fmt;

/// Why a module could not be instrumented.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    place: Option<Place>,
}

/// The kinds of [`Error`].
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The bytes are not a valid core wasm module.
    Invalid,
    /// The bytes are a wasm component, not a core module.
    Component,
    /// The module uses a feature this version does not carry over a pause.
    Unsupported,
    /// The module exceeds a limit of [`crate::abi::limits`].
    Limit,
    /// The module uses a name that is reserved for the instrumenter.
    Reserved,
    /// The metadata section of an instrumented module is missing or damaged.
    Metadata,
    /// The instrumenter made a module that does not validate: a bug in it.
    Internal,
}

/// Where in the original module the trouble is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Function index.
    pub function: Option<u32>,
    /// Function name.
    pub name: Option<String>,
    /// Byte offset in the module file.
    pub offset: Option<u64>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), place: None }
    }

    pub(crate) fn at(mut self, place: Place) -> Error {
        self.place = Some(place);
        self
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Where in the original module it is, if it is in one place.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ErrorKind::Invalid => "invalid wasm module: ",
            ErrorKind::Component => "wasm component: ",
            ErrorKind::Unsupported => "unsupported: ",
            ErrorKind::Limit => "limit exceeded: ",
            ErrorKind::Reserved => "reserved name: ",
            ErrorKind::Metadata => "instrumented module: ",
            ErrorKind::Internal => "internal error (please report it): ",
        };
        write!(f, "{what}{}", self.message)?;
        if let Some(place) = &self.place {
            if let Some(function) = place.function {
                write!(f, ", in function {function}")?;
            }
            if let Some(name) = &place.name {
                write!(f, " `{name}`")?;
            }
            if let Some(offset) = place.offset {
                write!(f, ", at byte offset {offset:#x}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
