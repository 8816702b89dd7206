//! What of a guest's system state goes into a snapshot: plain data.
//!
//! No value in it is the host's unless it was an input: file sizes, times and
//! inode numbers are, as is all that was read.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Everything a guest's system calls depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WasiState {
    /// The arguments, the program's name first.
    pub args: Vec<String>,
    /// The environment, in order.
    pub env: Vec<(String, String)>,
    /// The directories handed over at the start, in order.
    pub preopens: Vec<PreopenState>,
    /// The open descriptors by number.
    pub fds: BTreeMap<u32, FdState>,
    /// Where standard input stands.
    pub stdin: StdinState,
    /// Bytes written to standard output so far.
    pub stdout_bytes: u64,
    /// Bytes written to standard error so far.
    pub stderr_bytes: u64,
    /// Where the clocks stand.
    pub clock: ClockState,
    /// Where the random generator stands.
    pub random: RandomState,
    /// The call that waits, if one does.
    pub pending: Option<PendingState>,
    /// The exit code, once the guest has exited.
    pub exit: Option<u32>,
}

/// A directory handed over when the guest started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreopenState {
    /// What the guest calls it.
    pub guest: String,
    /// Whether all changes below it are refused.
    pub read_only: bool,
}

/// An open descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FdState {
    /// What it refers to.
    pub kind: FdKind,
    /// Its `fdflags`.
    pub flags: u16,
    /// The rights the guest has given up.
    pub dropped: u64,
    /// The rights it has given up for what it opens from here.
    pub dropped_inheriting: u64,
}

/// What a descriptor refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FdKind {
    /// Standard input.
    Stdin,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A directory handed over at the start.
    Preopen {
        /// Its index in [`WasiState::preopens`].
        preopen: u32,
        /// Its entries, if the guest is reading them.
        listing: Option<Vec<DirEntry>>,
    },
    /// A directory the guest opened.
    Dir {
        /// Index of the preopened directory it lies in.
        preopen: u32,
        /// Its path there, with `/` between names.
        path: String,
        /// Its entries, if the guest is reading them.
        listing: Option<Vec<DirEntry>>,
    },
    /// A file the guest opened.
    File {
        /// Index of the preopened directory it lies in.
        preopen: u32,
        /// Its path there, with `/` between names.
        path: String,
        /// Whether it is open for reading.
        read: bool,
        /// Whether it is open for writing.
        write: bool,
        /// Where the next read or write happens, in bytes.
        offset: u64,
        /// What it looked like; absent for devices and the like.
        stamp: Option<Stamp>,
    },
}

/// By what a file is recognised as unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, in nanoseconds since 1970.
    pub mtime_ns: i64,
}

impl Stamp {
    /// Whether a file that looks like `now` may be the one this was taken of.
    ///
    /// Times are compared as far as both are told: file systems keep nanoseconds, 100 of them
    /// (Windows), or seconds, and what copies files to another machine often keeps seconds only.
    pub fn fits(&self, now: &Stamp) -> bool {
        const UNITS_NS: [i64; 6] = [1, 100, 1_000, 1_000_000, 1_000_000_000, 2_000_000_000];
        let (then, now_ns) = (self.mtime_ns, now.mtime_ns);
        let cut = |ns: i64, unit: i64| ns.saturating_sub(ns.rem_euclid(unit));
        let alike = |unit| then == cut(now_ns, unit) || now_ns == cut(then, unit);
        self.size == now.size && UNITS_NS.into_iter().any(alike)
    }
}

/// An entry of a directory as it was when the guest began to read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirEntry {
    /// Its name.
    pub name: String,
    /// Its inode number on the host that read it.
    pub ino: u64,
    /// Its `filetype`.
    pub filetype: u8,
}

/// Where standard input stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum StdinState {
    /// There is none.
    Null,
    /// What is left of bytes given at the start.
    Bytes(Bytes),
    /// A file of the host.
    File {
        /// Its path as the user gave it.
        path: String,
        /// How far it was read, in bytes.
        offset: u64,
        /// What it looked like.
        stamp: Stamp,
    },
    /// The process's own.
    Inherit {
        /// Bytes taken from it that the guest has not read.
        ahead: Bytes,
        /// Whether its end was reached.
        eof: bool,
    },
}

/// Where the clocks stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ClockState {
    /// The host's clocks.
    Host {
        /// The guest's monotonic time, in nanoseconds.
        monotonic_ns: u64,
    },
    /// A clock that ticks with steps.
    Virtual {
        /// Time slept through, in nanoseconds: the clock is this plus steps.
        slept_ns: u64,
    },
}

/// Where the random generator (ChaCha12) stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomState {
    /// Its key.
    pub seed: [u8; 32],
    /// The block the next word comes from.
    pub block: u64,
    /// The next word's place in that block, 0 to 15.
    pub word: u8,
}

/// A call that waits, to be issued again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingState {
    /// The function by name.
    pub function: String,
    /// Its arguments.
    pub args: Vec<u64>,
    /// When it was first issued, in the guest's monotonic nanoseconds.
    pub since_ns: u64,
}

/// A byte string, as such in every format that has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        deserializer.deserialize_byte_buf(BytesVisitor)
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes(bytes.to_vec()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(Bytes(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bytes, A::Error> {
        // NB: no capacity from the format's claim, which a forger chooses.
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        Ok(Bytes(bytes))
    }
}
