//! Why a tasklet's system state could not be set up, captured or restored.

use std::io;
use std::path::PathBuf;

/// Why a [`Wasi`](crate::wasi::Wasi) could not be made, captured or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WasiError {
    /// A directory given to the guest cannot be opened.
    #[error("cannot open `{}` as the guest's directory `{guest}`", host.display())]
    PreopenUnusable {
        /// The directory on this machine.
        host: PathBuf,
        /// What the guest calls it.
        guest: String,
        /// What the system said.
        source: io::Error,
    },
    /// Two directories were given under one name.
    #[error("the guest's directory `{guest}` is given twice")]
    PreopenTwice {
        /// What the guest calls it.
        guest: String,
    },
    /// The snapshot needs a directory that was not given.
    #[error(
        "the snapshot uses the directory `{guest}`, which is not given: add `--dir HOST::{guest}`"
    )]
    PreopenMissing {
        /// What the guest calls it.
        guest: String,
    },
    /// A directory was given that the snapshot does not have.
    #[error(
        "the snapshot has no directory `{guest}`: directories are handed over when a guest starts"
    )]
    PreopenUnknown {
        /// What the guest would have called it.
        guest: String,
    },
    /// An argument or variable holds a NUL byte, which ends it for the guest.
    #[error("{what} holds a NUL byte")]
    NulByte {
        /// Which one.
        what: String,
    },
    /// Something is larger than this layer carries.
    #[error("{what}: more than the limit of {max}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// The most there can be.
        max: u64,
    },
    /// A guest that is to be deterministic was given what is another in each run.
    #[error("a deterministic guest cannot have {what}")]
    NotDeterministic {
        /// What, and the way out.
        what: &'static str,
    },
    /// The system has no seed for the random generator.
    #[error("the system gives no random seed ({reason}): give one with `--seed`")]
    NoSeed {
        /// What the system said.
        reason: String,
    },
    /// The file for standard input cannot be opened, or is not a plain file.
    #[error("cannot read standard input from `{}`", path.display())]
    StdinUnusable {
        /// The file on this machine.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The snapshot names a file of the host, which only the user may grant.
    #[error(
        "the snapshot was reading standard input from `{path}`, at byte {offset}: give it again with `--stdin {path}`, or another"
    )]
    StdinNotGiven {
        /// The file as it was given when the guest started.
        path: String,
        /// How far it was read.
        offset: u64,
    },
    /// A file the guest has open cannot be found or opened again.
    #[error("cannot reopen `{path}` (descriptor {fd})")]
    FileMissing {
        /// The guest's descriptor.
        fd: u32,
        /// The file as the guest sees it.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file the guest has open is not what it was when the snapshot was made.
    #[error("`{path}` (descriptor {fd}) has changed since the snapshot was made: {how}")]
    FileChanged {
        /// The guest's descriptor.
        fd: u32,
        /// The file as the guest sees it.
        path: String,
        /// What differs.
        how: String,
    },
    /// A file is open for writing below a directory now given as read-only.
    #[error(
        "`{path}` (descriptor {fd}) is open for writing, but its directory is given as read-only"
    )]
    FileReadOnly {
        /// The guest's descriptor.
        fd: u32,
        /// The file as the guest sees it.
        path: String,
    },
    /// A file the guest has open has no name left by which to open it again.
    #[error(
        "`{path}` (descriptor {fd}) is open but was removed, renamed or replaced: no snapshot can be made until the guest closes it"
    )]
    FileUnlinked {
        /// The guest's descriptor.
        fd: u32,
        /// The file as the guest saw it when it was opened.
        path: String,
    },
    /// The system does not tell what must go into the snapshot.
    #[error("cannot examine `{path}` (descriptor {fd})")]
    FileUnreadable {
        /// The guest's descriptor.
        fd: u32,
        /// The file as the guest sees it.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A name that cannot be written down: not Unicode.
    #[error("`{}` is not a Unicode path, so no snapshot can name it", path.display())]
    NotUnicode {
        /// The path on this machine.
        path: PathBuf,
    },
    /// The state contradicts itself; no `state()` made it.
    #[error("malformed system state: {0}")]
    Malformed(&'static str),
}
