//! The one error type of this crate.

use std::fmt;
use std::path::PathBuf;

use tasklet_instrumenter as instrumenter;

use crate::sched::TaskletId;
use crate::snapshot::{self, Digest};
use crate::trap::TrapFrame;
use crate::wasi::WasiError;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why the engine could not do what it was asked to. What goes wrong *in a guest* is not an error
/// but an [`Outcome::Trapped`](crate::Outcome::Trapped).
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The module cannot be instrumented.
    #[error("cannot instrument the module")]
    Instrument(#[source] instrumenter::Error),
    /// wasmtime refuses to compile the instrumented module.
    #[error("cannot compile the module")]
    Compile(#[source] Source),
    /// The engine cannot be set up as asked.
    #[error("cannot configure the engine")]
    Configure(#[source] Source),
    /// Nothing that is compiled for that runs here.
    #[error("no code for `{name}` runs here; what does: {available}")]
    Target {
        /// The name asked for.
        name: String,
        /// The names there are.
        available: String,
    },
    /// The module compiles but cannot be instantiated (a data segment out of bounds, say).
    #[error("cannot instantiate the module")]
    Instantiate(#[source] Source),
    /// The bytes are not a snapshot this build can read.
    #[error("cannot read the snapshot")]
    SnapshotFormat(#[from] snapshot::Error),
    /// The snapshot reads well but contradicts itself or its module.
    #[error("invalid snapshot: {what}")]
    Snapshot {
        /// What is wrong, and where.
        what: String,
    },
    /// The snapshot cannot go on here: other module, unknown position, other prices.
    #[error("incompatible snapshot: {what}")]
    Incompatible {
        /// What does not fit, and where.
        what: String,
    },
    /// No module with the hash a snapshot names.
    #[error("no module with BLAKE3 {hash} at hand; give the original .wasm")]
    ModuleNotFound {
        /// The hash of the original module.
        hash: Digest,
    },
    /// No snapshot with the digest that another names as its base.
    #[error("no snapshot {digest} at hand, which is the base of this one")]
    BaseNotFound {
        /// The digest of the base.
        digest: Digest,
    },
    /// The base of a snapshot cannot be read.
    #[error("cannot read the base {digest}")]
    BaseUnreadable {
        /// The digest of the base.
        digest: Digest,
        /// What is wrong with it.
        #[source]
        source: snapshot::Error,
    },
    /// The module exports no function with that name.
    #[error("the module exports no function `{name}`")]
    NoSuchExport {
        /// The name asked for.
        name: String,
    },
    /// The arguments do not fit the function's parameters.
    #[error("arguments of `{function}`: expected ({expected}), found ({found})")]
    Arguments {
        /// The function.
        function: String,
        /// Its parameter types.
        expected: String,
        /// The types given.
        found: String,
    },
    /// A tasklet cannot be given another call.
    #[error("cannot call `{name}`: {what}")]
    CannotCall {
        /// The export to be called.
        name: String,
        /// Why not, and the way out.
        what: &'static str,
    },
    /// The module imports something the host does not provide.
    #[error("unknown import `{module}::{name}` of type {ty}; {way_out}")]
    UnknownImport {
        /// Module part of the import's name.
        module: String,
        /// Name part of the import's name.
        name: String,
        /// The type the module asks for.
        ty: String,
        /// What would make it possible.
        way_out: String,
    },
    /// The module imports a function with another type than the host's.
    #[error("import `{module}::{name}`: the module asks for {wanted}, the host has {provided}")]
    ImportType {
        /// Module part of the import's name.
        module: String,
        /// Name part of the import's name.
        name: String,
        /// The type the module asks for.
        wanted: String,
        /// The type the host provides.
        provided: String,
    },
    /// The guest holds an object of the host's that cannot be written down.
    #[error(
        "cannot write down the object of type `{type_name}` in {place}; give the host a codec for \
         it with `HostBuilder::codec`"
    )]
    NoCodec {
        /// Its Rust type.
        type_name: &'static str,
        /// Where the guest holds it.
        place: String,
    },
    /// A codec has refused to write an object down.
    #[error("cannot write down the object in {place}: codec `{codec}`: {message}")]
    Codec {
        /// The codec's name.
        codec: String,
        /// Where the guest holds the object.
        place: String,
        /// What the codec says.
        message: String,
    },
    /// A scheduler has no such tasklet.
    #[error("no tasklet {id} here: it has ended, was taken or killed, or is another scheduler's")]
    NoSuchTasklet {
        /// The tasklet.
        id: TaskletId,
    },
    /// What was asked of a scheduler cannot be done with a tasklet that stands as this one does.
    /// Nothing has changed.
    #[error("cannot {verb} tasklet {id}: {what}")]
    CannotSchedule {
        /// What was asked.
        verb: &'static str,
        /// The tasklet.
        id: TaskletId,
        /// Why not, and the way out.
        what: &'static str,
    },
    /// What is wrong with one tasklet of a set.
    #[error("tasklet {id} of the set")]
    Tasklet {
        /// The tasklet, by the number that it has in the set.
        id: TaskletId,
        /// What it is.
        #[source]
        source: Box<Error>,
    },
    /// A switch trap is set; see [`Scheduler::switch_trap`](crate::Scheduler::switch_trap). Nothing
    /// has changed.
    #[error("a switch trap is set: nothing else may run until it is taken back")]
    SwitchTrap,
    /// A scheduler has no such channel.
    #[error("no channel `{name}` here: make it with `Scheduler::channel`, or give another for it")]
    NoSuchChannel {
        /// Its name, or its number.
        name: String,
    },
    /// Something of that name is there already.
    #[error("there is a channel `{name}` already")]
    ChannelExists {
        /// The name.
        name: String,
    },
    /// A channel is closed.
    #[error("channel `{name}` is closed")]
    ChannelClosed {
        /// Its name.
        name: String,
    },
    /// A store has nothing of a tasklet that it was given.
    #[error("the store has nothing under {key}, which it was given")]
    NotStored {
        /// The number.
        key: u64,
    },
    /// A file of a store is not what was written.
    #[error("{} is damaged at byte {offset}: {what}", path.display())]
    StoreDamaged {
        /// The file.
        path: PathBuf,
        /// Where, in bytes from its beginning.
        offset: u64,
        /// What was found.
        what: &'static str,
    },
    /// A store is open already, here or in another process.
    #[error("the store {} is in use", path.display())]
    StoreInUse {
        /// Its directory.
        path: PathBuf,
    },
    /// A store has failed for a reason of its own.
    #[error("the store has failed")]
    Store(#[source] Source),
    /// A snapshot was asked for while the tasklet was in a host import: one that is on the native
    /// stack, or one that is pending and not declared safe to issue again. The tasklet is unharmed.
    #[error("cannot take a snapshot inside the host import `{import}`: {way_out}")]
    InsideHostImport {
        /// `module::name` of the import.
        import: String,
        /// The guest's frames below the import, innermost first. Asked from another thread it is
        /// empty, unless the host has [`trace_imports`](crate::HostBuilder::trace_imports).
        backtrace: Vec<TrapFrame>,
        /// What would make it possible.
        way_out: &'static str,
    },
    /// A message, or the state of a restartable import, cannot be encoded or decoded.
    #[error("cannot {verb} as CBOR: {what}")]
    Encoding {
        /// `encode` or `decode`.
        verb: &'static str,
        /// Why not.
        what: String,
    },
    /// The guest's system state cannot be set up, written down or restored.
    #[error("WASI")]
    Wasi(#[source] Box<WasiError>),
    /// A file could not be read or written.
    #[error("{what} {}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// A snapshot could not be written.
    #[error("cannot write the snapshot")]
    Write(#[source] Source),
    /// Something this version does not do.
    #[error("unsupported: {what}")]
    Unsupported {
        /// What, and the way out.
        what: String,
    },
    /// The machine failed: its disk is full, it has no memory left. That is no answer for a guest
    /// whose run is [deterministic](crate::EngineOptions::deterministic), because another machine
    /// would not give it: the tasklet stands where it stood, and can be run again or written down,
    /// unless the message says that it is lost.
    #[error("the host failed: {what}")]
    HostFailed {
        /// What it could not do.
        what: String,
    },
    /// A limit is exceeded.
    #[error("limit exceeded: {what}")]
    Limit {
        /// Which, and by what.
        what: String,
    },
    /// A bug in this project.
    #[error("internal error (please report it): {what}")]
    Internal {
        /// What was found.
        what: String,
    },
}

/// The kinds of [`Error`], coarse enough to choose an exit code by.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The module is invalid.
    Module,
    /// The snapshot is damaged or contradicts itself.
    Snapshot,
    /// The snapshot is sound but cannot go on here.
    Incompatible,
    /// An argument of the call does not fit: no such export, wrong argument types.
    Usage,
    /// An import is missing or of another type.
    Import,
    /// A module, a tasklet or a channel was not found.
    NotFound,
    /// Reading or writing a file failed.
    Io,
    /// Refused: the tasklet is in a host import.
    InsideHostImport,
    /// A value and its encoding do not fit.
    Encoding,
    /// This version cannot do that.
    Unsupported,
    /// A limit is exceeded.
    Limit,
    /// The host could not be set up.
    Host,
    /// The host ran out of something while it worked.
    HostFailed,
    /// A bug in this project.
    Internal,
}

impl Error {
    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Instrument(error) => match error.kind() {
                instrumenter::ErrorKind::Unsupported | instrumenter::ErrorKind::Component => {
                    ErrorKind::Unsupported
                }
                instrumenter::ErrorKind::Limit => ErrorKind::Limit,
                instrumenter::ErrorKind::Internal | instrumenter::ErrorKind::Metadata => {
                    ErrorKind::Internal
                }
                _ => ErrorKind::Module,
            },
            Error::Codec { .. } => ErrorKind::Host,
            Error::Compile(_) | Error::Instantiate(_) => ErrorKind::Module,
            Error::Configure(_) => ErrorKind::Host,
            Error::Wasi(error) => wasi_kind(error),
            Error::SnapshotFormat(error) | Error::BaseUnreadable { source: error, .. } => {
                match error.kind() {
                    snapshot::ErrorKind::Version { .. }
                    | snapshot::ErrorKind::SetVersion { .. }
                    | snapshot::ErrorKind::Base { .. } => ErrorKind::Incompatible,
                    snapshot::ErrorKind::Limit { .. } => ErrorKind::Limit,
                    snapshot::ErrorKind::Io(_) => ErrorKind::Io,
                    _ => ErrorKind::Snapshot,
                }
            }
            Error::Snapshot { .. } => ErrorKind::Snapshot,
            Error::Incompatible { .. } => ErrorKind::Incompatible,
            Error::ModuleNotFound { .. } | Error::BaseNotFound { .. } => ErrorKind::NotFound,
            Error::NoSuchTasklet { .. } | Error::NoSuchChannel { .. } => ErrorKind::NotFound,
            Error::NoSuchExport { .. }
            | Error::Arguments { .. }
            | Error::CannotCall { .. }
            | Error::Target { .. }
            | Error::CannotSchedule { .. }
            | Error::SwitchTrap
            | Error::ChannelExists { .. }
            | Error::ChannelClosed { .. } => ErrorKind::Usage,
            Error::UnknownImport { .. } | Error::ImportType { .. } => ErrorKind::Import,
            Error::InsideHostImport { .. } => ErrorKind::InsideHostImport,
            Error::Encoding { .. } => ErrorKind::Encoding,
            Error::Io { .. }
            | Error::Write(_)
            | Error::NotStored { .. }
            | Error::StoreDamaged { .. }
            | Error::StoreInUse { .. }
            | Error::Store(_) => ErrorKind::Io,
            Error::Unsupported { .. } | Error::NoCodec { .. } => ErrorKind::Unsupported,
            Error::HostFailed { .. } => ErrorKind::HostFailed,
            Error::Limit { .. } => ErrorKind::Limit,
            Error::Internal { .. } => ErrorKind::Internal,
            Error::Tasklet { source, .. } => source.kind(),
        }
    }

    /// The error as one of this tasklet of a set.
    pub(crate) fn of(self, id: TaskletId) -> Error {
        Error::Tasklet { id, source: Box::new(self) }
    }

    pub(crate) fn internal(what: impl fmt::Display) -> Error {
        Error::Internal { what: what.to_string() }
    }

    pub(crate) fn snapshot(what: impl fmt::Display) -> Error {
        Error::Snapshot { what: what.to_string() }
    }

    pub(crate) fn incompatible(what: impl fmt::Display) -> Error {
        Error::Incompatible { what: what.to_string() }
    }

    pub(crate) fn host_failed(what: impl fmt::Display) -> Error {
        Error::HostFailed { what: what.to_string() }
    }

    /// The same in the middle of what a guest does, where there is no way back.
    pub(crate) fn lost(why: &str) -> Error {
        let end = "that is no end of the program's, go on from an earlier snapshot";
        Error::HostFailed { what: format!("the tasklet is lost: {why}; {end}") }
    }

    pub(crate) fn limit(what: impl fmt::Display) -> Error {
        Error::Limit { what: what.to_string() }
    }

    pub(crate) fn io(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { what, path, source }
    }
}

fn wasi_kind(error: &WasiError) -> ErrorKind {
    match error {
        WasiError::Malformed(_) => ErrorKind::Snapshot,
        WasiError::PreopenMissing { .. }
        | WasiError::PreopenUnknown { .. }
        | WasiError::StdinNotGiven { .. }
        | WasiError::FileMissing { .. }
        | WasiError::FileChanged { .. }
        | WasiError::FileReadOnly { .. } => ErrorKind::Incompatible,
        WasiError::NotDeterministic { .. } => ErrorKind::Usage,
        _ => ErrorKind::Host,
    }
}
