//! Errors on their way out: which exit code, and what to do next.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use tasklet_engine::snapshot::Error as SnapshotError;
use tasklet_engine::snapshot::ErrorKind as SnapshotErrorKind;
use tasklet_engine::wasi::WasiError;
use tasklet_engine::{Error as EngineError, ErrorKind};
use tasklet_instrumenter as instrumenter;

use crate::exit::Code;

/// An error that knows its exit code, and perhaps what to do about it.
#[derive(Debug)]
pub struct Failure {
    code: Code,
    message: String,
    help: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// An error with that code.
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), help: None, source: None }
    }

    /// Adds what to do next.
    pub fn help(mut self, help: impl Into<String>) -> Failure {
        self.help = Some(help.into());
        self
    }

    /// Adds the cause.
    pub fn source(mut self, source: impl StdError + Send + Sync + 'static) -> Failure {
        self.source = Some(Box::new(source));
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// The input that could not be opened: missing, or as good as missing.
pub fn unreadable(what: &str, error: io::Error) -> Failure {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};
    let missing =
        matches!(error.kind(), NotFound | PermissionDenied | IsADirectory | NotADirectory);
    let code = if missing { Code::NoInput } else { Code::Io };
    Failure::new(code, format!("cannot read {what}")).source(error)
}

/// The exit code of an error: that of the first in its chain that has one.
pub fn code_of(error: &anyhow::Error) -> Code {
    let of = |cause: &(dyn StdError + 'static)| {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            Some(failure.code)
        } else if let Some(error) = cause.downcast_ref::<EngineError>() {
            Some(engine_code(error))
        } else if let Some(error) = cause.downcast_ref::<SnapshotError>() {
            Some(snapshot_code(error))
        } else if let Some(error) = cause.downcast_ref::<instrumenter::Error>() {
            Some(instrumenter_code(error))
        } else {
            cause.downcast_ref::<io::Error>().map(|_| Code::Io)
        }
    };
    error.chain().find_map(of).unwrap_or(Code::Software)
}

/// What to do about an error, where there is something.
pub fn help_of(error: &anyhow::Error) -> Option<String> {
    let of = |cause: &(dyn StdError + 'static)| {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.help.clone();
        }
        if let Some(error) = cause.downcast_ref::<SnapshotError>() {
            return snapshot_help(error.kind()).map(String::from);
        }
        match cause.downcast_ref::<EngineError>()? {
            EngineError::ModuleNotFound { .. } => {
                Some("the snapshot does not embed its module: give it with --module FILE".into())
            }
            EngineError::Wasi(source) if matches!(**source, WasiError::FileChanged { .. }) => Some(
                "give it as it was (copies keep the time with `cp -p`, `scp -p`), or go on with \
                      --allow-changed-files"
                    .into(),
            ),
            EngineError::BaseNotFound { .. } => {
                Some("put the base beside the snapshot, or give it with --find-base FILE".into())
            }
            EngineError::UnknownImport { .. } => {
                Some("programs run here get WASI preview 1 and no other imports".into())
            }
            EngineError::Limit { .. } => {
                Some("--max-memory sets the limit of memories, --max-stack that of calls".into())
            }
            _ => None,
        }
    };
    error.chain().find_map(of)
}

fn engine_code(error: &EngineError) -> Code {
    match error {
        EngineError::SnapshotFormat(error) | EngineError::BaseUnreadable { source: error, .. } => {
            return snapshot_code(error);
        }
        EngineError::Wasi(source) => {
            return wasi_code(source);
        }
        EngineError::Write(source) => {
            return source.downcast_ref().map_or(Code::Io, snapshot_code);
        }
        _ => {}
    }
    match error.kind() {
        ErrorKind::Module
        | ErrorKind::Snapshot
        | ErrorKind::Import
        | ErrorKind::Unsupported
        | ErrorKind::Limit => Code::Data,
        ErrorKind::Incompatible => Code::Incompatible,
        ErrorKind::Usage => Code::Usage,
        ErrorKind::NotFound => Code::NoInput,
        ErrorKind::Io => Code::Io,
        ErrorKind::HostFailed => Code::Host,
        ErrorKind::InsideHostImport => Code::NotNow,
        _ => Code::Software,
    }
}

fn snapshot_code(error: &SnapshotError) -> Code {
    match error.kind() {
        SnapshotErrorKind::Io(_) => Code::Io,
        SnapshotErrorKind::Version { .. } | SnapshotErrorKind::Base { .. } => Code::Incompatible,
        SnapshotErrorKind::Invalid { .. } => Code::Software,
        _ => Code::Data,
    }
}

fn snapshot_help(kind: &SnapshotErrorKind) -> Option<&'static str> {
    match kind {
        SnapshotErrorKind::Version { .. } => Some("resume it with the tasklet that wrote it"),
        SnapshotErrorKind::Truncated { .. }
        | SnapshotErrorKind::Digest
        | SnapshotErrorKind::Compressed { .. } => Some("copy it again from where it was written"),
        SnapshotErrorKind::NotASnapshot => Some("`tasklet run` and `resume` write them, with -o"),
        SnapshotErrorKind::Malformed { .. } => {
            Some("if it was copied, copy it again from where it was written")
        }
        _ => None,
    }
}

fn instrumenter_code(error: &instrumenter::Error) -> Code {
    match error.kind() {
        instrumenter::ErrorKind::Internal | instrumenter::ErrorKind::Metadata => Code::Software,
        _ => Code::Data,
    }
}

fn wasi_code(error: &WasiError) -> Code {
    match error {
        WasiError::PreopenUnusable { .. } | WasiError::StdinUnusable { .. } => Code::NoInput,
        WasiError::PreopenTwice { .. }
        | WasiError::NotDeterministic { .. }
        | WasiError::NulByte { .. }
        | WasiError::TooLarge { .. }
        | WasiError::NotUnicode { .. } => Code::Usage,
        WasiError::PreopenMissing { .. }
        | WasiError::PreopenUnknown { .. }
        | WasiError::StdinNotGiven { .. }
        | WasiError::FileMissing { .. }
        | WasiError::FileChanged { .. }
        | WasiError::FileReadOnly { .. } => Code::Incompatible,
        WasiError::FileUnlinked { .. } => Code::NotNow,
        WasiError::Malformed(_) => Code::Data,
        _ => Code::Io,
    }
}
