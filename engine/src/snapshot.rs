//! The snapshot file format, version 3: a paused or ended tasklet as deterministic CBOR.
//!
//! A snapshot speaks of the *original* module only (function indices, byte
//! offsets, local indices), never of what the instrumenter made of it, so it
//! outlives versions of the transform and another implementation can resume
//! it. `docs/snapshot-format.md` is the specification; this module neither
//! knows a wasm runtime nor an operating system.
//!
//! ```
//! use tasklet_engine::snapshot::{Error, Limits, Snapshot};
//!
//! fn copy(snapshot: Snapshot<'static>) -> Result<(), Error> {
//!     let mut file = Vec::new();
//!     let digest = snapshot.write_to(&mut file)?;
//!     let (again, same) = Snapshot::read_from(&mut &file[..], &Limits::DEFAULT)?;
//!     assert_eq!((again, same), (snapshot, digest));
//!     Ok(())
//! }
//! ```

use std::borrow::Cow;
use std::fmt;
use std::io::{Read, Write};

mod base;
mod decode;
mod diff;
mod encode;
mod error;
mod frames;
mod header;
mod host;
mod limits;
mod pages;
mod reader;
mod references;
mod rules;
pub mod set;
mod source;
mod tables;
#[cfg(test)]
mod tests;
mod value;
mod writer;

pub use ciborium::Value as HostValue;
pub use diff::{diff_pages, diff_pages_within};
pub use error::{Error, ErrorKind};
pub use header::Header;
pub(crate) use host::sort as sort_host_value;
pub use limits::Limits;
pub(crate) use pages::is_zero;

use reader::Reader;
use source::Source;

/// The version this build writes. It reads all from 1 on.
pub const VERSION: u64 = 3;

/// The version that the first bytes of a snapshot are of, if they are enough to tell: 22 are.
pub fn version(start: &[u8]) -> Option<u64> {
    let mut input = start;
    decode::version(&mut input).ok()
}

/// The format's name, the first element of every snapshot of every version.
pub const FORMAT: &str = "tasklet-snapshot";

/// Bytes of one page of a [`PageRun`]: the unit in which memories are compared.
pub const PAGE_BYTES: usize = 4096;

/// Bytes of one WebAssembly page, the unit of [`MemoryState::pages`].
pub const WASM_PAGE_BYTES: u64 = 65536;

/// A BLAKE3 hash of 32 bytes: of a module, or of a snapshot (its identity).
///
/// `Display` writes it as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }
}

/// Everything a tasklet is, as far as it is not in the original module.
///
/// `'a` lets the module and the pages be borrowed from where they live when a
/// snapshot is written; what has been read owns its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot<'a> {
    /// The original module.
    pub module: ModuleRef<'a>,
    /// Version of the cost table by which steps are counted.
    pub cost_table: u32,
    /// Digest of the snapshot before this one in the tasklet's life: a hash chain.
    pub parent: Option<Digest>,
    /// Digest of the snapshot whose memories this one's are to be laid over: without a base, the
    /// module's initial image takes its place.
    pub base: Option<Digest>,
    /// The limits of a deterministic run, all that it depends on but its inputs.
    pub profile: Option<Profile>,
    /// Steps of the original module executed so far.
    pub steps_used: u64,
    /// Steps granted minus steps used: credit, or if negative debt.
    pub balance: i64,
    /// Whether and why the tasklet stands still.
    pub status: Status,
    /// What was started.
    pub entry: Entry,
    /// Calls still to be made, in order, once `frames` is empty.
    ///
    /// The results of the last are the tasklet's. While the start function
    /// runs, the entry waits here.
    pub pending: Vec<PendingCall>,
    /// The continuation, outermost frame first.
    pub frames: Vec<Frame>,
    /// Memories, ascending by index.
    pub memories: Vec<MemoryState<'a>>,
    /// Globals that are mutable or imported, ascending by index in the original's global index
    /// space.
    pub globals: Vec<(u32, Value)>,
    /// Tables, ascending by index.
    pub tables: Vec<TableState>,
    /// The host's objects, each once, in the order in which the values of this snapshot meet them.
    pub objects: Vec<Object>,
    /// The exceptions that values refer to, each once; behind those that its payload holds.
    pub exceptions: Vec<Exception>,
    /// Indices of dropped passive data segments, ascending.
    pub dropped_data: Vec<u32>,
    /// Indices of dropped passive element segments, ascending.
    pub dropped_elements: Vec<u32>,
    /// Host-side state by namespace, e.g. `wasi_snapshot_preview1`.
    ///
    /// Written sorted; names are unique. A value is made of null, booleans,
    /// integers of 64 bits, byte strings, text, arrays, and maps whose keys
    /// are integers, byte strings or text. Floats and tags are refused.
    pub host: Vec<(String, HostValue)>,
    /// Words for people and tools, without effect. Written sorted; names are unique.
    pub labels: Vec<(String, String)>,
}

impl Snapshot<'_> {
    /// Writes the snapshot and returns its digest, the `parent` of the next.
    ///
    /// Page data goes from where it lives straight to `out`. Everything is
    /// checked before the first byte is written, but for large runs of pages:
    /// that none is zero is checked when they are hashed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if the snapshot breaks a rule of the format,
    /// [`ErrorKind::Io`] if `out` fails. What was written then is incomplete.
    pub fn write_to(&self, out: &mut impl Write) -> Result<Digest, Error> {
        encode::write(self, out)
    }

    /// Reads a snapshot to the end of `input` and returns it with its digest.
    ///
    /// Nothing is handed out before the digest has been found to match.
    /// Memory is allocated as bytes arrive, never on the word of a length.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`]: any input whatever gives a snapshot or an error.
    pub fn read_from(
        input: &mut impl Read,
        limits: &Limits,
    ) -> Result<(Snapshot<'static>, Digest), Error> {
        let (snapshot, digest) = decode::read(Reader::new(input, limits))?;
        Ok((snapshot.into_owned(), digest))
    }

    /// Reads a snapshot that is in memory as a whole, and lends the module and the pages from
    /// there. It is hashed on all processors.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::read_from`].
    pub fn read_slice<'b>(
        bytes: &'b [u8],
        limits: &Limits,
    ) -> Result<(Snapshot<'b>, Digest), Error> {
        decode::read(Reader::of(Source::whole(bytes), limits))
    }

    /// The snapshot with its own copy of what it borrows.
    pub fn into_owned(self) -> Snapshot<'static> {
        let module = self.module.into_owned();
        let memories = self.memories.into_iter().map(|memory| MemoryState {
            index: memory.index,
            pages: memory.pages,
            runs: memory.runs.into_iter().map(PageRun::into_owned).collect(),
        });
        let memories = memories.collect();
        Snapshot { module, memories, ..self }
    }
}

/// The limits of a deterministic run: what it depends on besides its inputs, and has until its end.
///
/// A snapshot that has one says more: NaNs are canonical, the clock is virtual and random bytes
/// follow from a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// How deep calls may be nested, in bytes of frames.
    pub stack_bytes: u64,
    /// Largest size of each memory.
    pub memory_bytes: u64,
    /// Steps of all callbacks under one host import.
    pub callback_steps: u32,
    /// Most elements of each table.
    pub table_elements: u64,
    /// Largest heap for exceptions and the host's objects.
    pub reference_heap_bytes: u64,
}

/// The original module, embedded or only named by its hash.
#[derive(Debug, Clone, PartialEq)]
pub struct ModuleRef<'a> {
    /// BLAKE3 of the original module's bytes.
    pub hash: Digest,
    /// Length of the original module in bytes.
    pub size: u64,
    /// The original module, unless it is left out.
    pub bytes: Option<Cow<'a, [u8]>>,
}

impl<'a> ModuleRef<'a> {
    /// Embeds the module, computing its hash.
    pub fn embed(bytes: &'a [u8]) -> ModuleRef<'a> {
        ModuleRef { bytes: Some(Cow::Borrowed(bytes)), ..ModuleRef::name(bytes) }
    }

    /// The reference with its own copy of the module.
    pub fn into_owned(self) -> ModuleRef<'static> {
        let bytes = self.bytes.map(|bytes| Cow::Owned(bytes.into_owned()));
        ModuleRef { hash: self.hash, size: self.size, bytes }
    }

    /// Leaves only the module's hash and size.
    pub fn name(bytes: &[u8]) -> ModuleRef<'static> {
        ModuleRef { hash: Digest::of(bytes), size: bytes.len() as u64, bytes: None }
    }
}

/// Whether a tasklet can go on, and if not how it ended.
///
/// A paused tasklet has a frame or a pending call, an ended one neither.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// It can go on.
    Paused {
        /// Why it stands still.
        reason: PauseReason,
    },
    /// Its last call returned.
    Finished {
        /// What that call returned.
        results: Vec<Value>,
    },
    /// The guest asked to be ended, as by WASI's `proc_exit`.
    Exited {
        /// The exit code it gave.
        code: u32,
    },
    /// It ended by a trap or an uncaught exception.
    Trapped {
        /// The trap's description.
        message: String,
        /// Where it happened, innermost first.
        backtrace: Vec<TrapFrame>,
    },
}

/// Why a tasklet is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseReason {
    /// The budget of the slice was used up.
    OutOfBudget,
    /// Somebody asked for it.
    Requested,
    /// It waits for the outcome of a host import.
    Waiting,
}

/// One line of a trap's backtrace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrapFrame {
    /// Index in the original's function index space.
    pub function: u32,
    /// Byte offset in the original module of the instruction, where known.
    pub offset: Option<u32>,
}

/// What was started: the start function if there is one, then this export.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Name of the exported function.
    pub export: String,
    /// Its arguments.
    pub args: Vec<Value>,
}

/// A function of the original module still to be called.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingCall {
    /// Index in the original's function index space.
    pub function: u32,
    /// Its arguments.
    pub args: Vec<Value>,
}

/// One paused activation of a function.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Index in the original's function index space.
    pub function: u32,
    /// Where in the function it goes on.
    pub at: Position,
    /// Live locals by original index, parameters first, ascending; a dead local may be missing.
    pub locals: Vec<(u32, Value)>,
    /// The operand stack, bottom to top.
    pub operands: Vec<Value>,
}

/// Where a frame goes on. Offsets count bytes from the start of the original module file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Before the first instruction: parameters in `locals`, the entry's cost not yet charged.
    Entry,
    /// At a loop header before the body, the block parameters on top of `operands`.
    Loop {
        /// Offset of the `loop` instruction.
        offset: u32,
    },
    /// In a call; `operands` are those below the call's arguments.
    ///
    /// Every frame but the innermost is in this position.
    Call {
        /// Offset of the call instruction whose callee runs or is about to return.
        offset: u32,
    },
    /// In an imported function, to be called again at resume with `locals` 0.. as arguments.
    Import,
}

/// A WebAssembly value with its type; floats as bits, so that NaN payloads are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A 32-bit integer.
    I32(i32),
    /// A 64-bit integer.
    I64(i64),
    /// The bits of a 32-bit float.
    F32(u32),
    /// The bits of a 64-bit float.
    F64(u64),
    /// A vector; lane 0 in the least significant bits.
    V128(u128),
    /// A function by its original index, or null.
    FuncRef(Option<u32>),
    /// An object of the host's by its place in [`Snapshot::objects`], or null.
    ExternRef(Option<u32>),
    /// An exception by its place in [`Snapshot::exceptions`], or null.
    ExnRef(Option<u32>),
}

/// The kinds of references that a table can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefType {
    /// Functions.
    Func,
    /// Objects of the host's.
    Extern,
    /// Exceptions.
    Exn,
}

impl RefType {
    /// The reference of that kind with that index, or null.
    pub fn value(self, index: Option<u32>) -> Value {
        match self {
            RefType::Func => Value::FuncRef(index),
            RefType::Extern => Value::ExternRef(index),
            RefType::Exn => Value::ExnRef(index),
        }
    }
}

/// An object of the host's, as the codec of that name has written it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The codec's name.
    pub codec: String,
    /// What the codec made of the object.
    pub bytes: Vec<u8>,
}

/// An exception that a value refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// Index in the original's tag index space.
    pub tag: u32,
    /// Its payload. What it holds of exceptions has lower numbers.
    pub fields: Vec<Value>,
}

/// A memory as it differs from the module's initial image.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryState<'a> {
    /// Index in the original's memory index space.
    pub index: u32,
    /// Current size in WebAssembly pages of 64 KiB.
    pub pages: u64,
    /// The pages that differ, ascending, as few runs as possible.
    pub runs: Vec<PageRun<'a>>,
}

/// Consecutive pages of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct PageRun<'a> {
    /// First page, in units of [`PAGE_BYTES`].
    pub first: u64,
    /// Number of pages, at least one.
    pub count: u64,
    /// What they hold.
    pub data: PageData<'a>,
}

impl PageRun<'_> {
    /// The run with its own copy of what it borrows.
    pub fn into_owned(self) -> PageRun<'static> {
        let data = match self.data {
            PageData::Zero => PageData::Zero,
            PageData::Bytes(bytes) => PageData::Bytes(Cow::Owned(bytes.into_owned())),
        };
        PageRun { first: self.first, count: self.count, data }
    }
}

/// The contents of a [`PageRun`].
#[derive(Debug, Clone, PartialEq)]
pub enum PageData<'a> {
    /// Every page is all zero.
    Zero,
    /// The pages' bytes; no page of them is all zero.
    Bytes(Cow<'a, [u8]>),
}

/// A table as it differs from its initial contents. Those of a table that holds no functions count
/// as null.
#[derive(Debug, Clone, PartialEq)]
pub struct TableState {
    /// Index in the original's table index space.
    pub index: u32,
    /// What its elements are.
    pub element: RefType,
    /// Current size in elements.
    pub size: u64,
    /// The elements that differ, ascending, as few runs as possible.
    pub runs: Vec<TableRun>,
}

/// Consecutive elements of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRun {
    /// Index of the first element.
    pub first: u64,
    /// The references' indices or null, at least one.
    pub elements: Vec<Option<u32>>,
}
