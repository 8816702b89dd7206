//! Snapshots in files: mapped where that is safe, decompressed where they are compressed, and with
//! the files of their bases.

mod chain;
mod compressed;
mod input;
mod mapping;

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

pub use chain::{Resolved, SnapshotChain};
pub use compressed::Compressor;
pub use input::open_input;
pub(crate) use mapping::Mapping;
#[cfg(target_os = "linux")]
pub(crate) use mapping::put_pages;

use crate::error::Error;
use crate::snapshot::{self, Digest, Header, Limits, Snapshot};

/// Bytes read of a stream at once.
const BUFFER_BYTES: usize = 256 << 10;
/// As many bytes as tell what an input is.
const START_BYTES: u64 = 32;

/// A snapshot file that has been opened.
///
/// A plain file that nobody but its owner can change, and whose owner we are, is mapped: it takes no
/// memory, and must stay as it is while this is there. To be removed or replaced by another file is
/// no change; to be cut off in place ends the process. Every other file is read.
#[derive(Debug)]
pub struct SnapshotFile {
    input: Input,
    bytes: u64,
    version: u64,
    /// Where it was opened.
    path: Option<PathBuf>,
}

#[derive(Debug)]
enum Input {
    Mapped(Mapping),
    Read(Mutex<Option<Box<Snapshot<'static>>>>, OnceLock<Box<Snapshot<'static>>>, Known),
}

/// What is known of a snapshot that was read.
#[derive(Debug, Clone, Copy)]
struct Known {
    digest: Digest,
    base: Option<Digest>,
}

impl SnapshotFile {
    /// Opens a file, and reads it if it cannot be mapped.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::SnapshotFormat`].
    pub fn open(path: &Path, limits: &Limits) -> Result<SnapshotFile, Error> {
        let failed = |error| Error::io("cannot read", path)(error);
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return SnapshotFile::read(open_input(path).map_err(failed)?, limits);
        }
        let file = File::open(path).map_err(failed)?;
        let path = Some(path.to_owned());
        match Mapping::of(&file) {
            Some(mapping) if !compressed::begins(mapping.bytes()) => {
                let (bytes, version) = (mapping.bytes().len() as u64, version(mapping.bytes()));
                Ok(SnapshotFile { input: Input::Mapped(mapping), bytes, version, path })
            }
            _ => Ok(SnapshotFile { path, ..SnapshotFile::read(file, limits)? }),
        }
    }

    /// Reads a snapshot to the end of an input, which may be compressed.
    ///
    /// # Errors
    /// [`Error::SnapshotFormat`].
    pub fn read(mut input: impl Read, limits: &Limits) -> Result<SnapshotFile, Error> {
        let start = read_start(&mut input)?;
        let counted = Counted { inner: Cursor::new(&start).chain(input), count: 0 };
        let mut input = BufReader::with_capacity(BUFFER_BYTES, counted);
        let (read, version) = if compressed::begins(&start) {
            compressed::read(&mut input, limits)?
        } else {
            (Snapshot::read_from(&mut input, limits)?, version(&start))
        };
        let bytes = input.get_ref().count;
        let (snapshot, digest) = read;
        let known = Known { digest, base: snapshot.base };
        let input = Input::Read(Mutex::new(Some(Box::new(snapshot))), OnceLock::new(), known);
        Ok(SnapshotFile { input, bytes, version, path: None })
    }

    /// Its length in bytes, as it lies there.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Version of the format that it is in.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether its pages are the file's own.
    pub fn is_mapped(&self) -> bool {
        matches!(self.input, Input::Mapped(_))
    }

    /// The base that it names. By the word of a file that may not have been checked yet.
    ///
    /// # Errors
    /// [`Error::SnapshotFormat`].
    pub fn base(&self, limits: &Limits) -> Result<Option<Digest>, Error> {
        match &self.input {
            Input::Mapped(mapping) => Ok(Header::read_from(&mut mapping.bytes(), limits)?.base),
            Input::Read(_, _, known) => Ok(known.base),
        }
    }

    /// Its digest, by its own word if it has not been checked yet.
    fn digest(&self) -> Option<Digest> {
        match &self.input {
            Input::Mapped(mapping) => mapping.bytes().last_chunk().copied().map(Digest),
            Input::Read(_, _, known) => Some(known.digest),
        }
    }

    /// What it holds, and its digest. One that was read gives it away: it can be asked once.
    ///
    /// # Errors
    /// [`Error::SnapshotFormat`], [`Error::Internal`] when asked again.
    pub fn snapshot(&self, limits: &Limits) -> Result<(Snapshot<'_>, Digest), Error> {
        match &self.input {
            Input::Mapped(mapping) => Ok(Snapshot::read_slice(mapping.bytes(), limits)?),
            Input::Read(read, _, known) => match read.lock().map(|mut read| read.take()) {
                Ok(Some(snapshot)) => Ok((*snapshot, known.digest)),
                _ => Err(Error::internal("a snapshot that was given away")),
            },
        }
    }
}

impl SnapshotFile {
    /// What it holds, lent for as long as this is there: one that was read keeps it, and can be
    /// asked again.
    pub(crate) fn lend(&self, limits: &Limits) -> Result<(Snapshot<'_>, Digest), Error> {
        let Input::Read(read, kept, known) = &self.input else { return self.snapshot(limits) };
        if let Ok(Some(snapshot)) = read.lock().map(|mut read| read.take()) {
            // It is taken but once, so nothing is kept yet.
            let _ = kept.set(snapshot);
        }
        match kept.get() {
            Some(snapshot) => Ok((snapshot.lent(), known.digest)),
            None => Err(Error::internal("a snapshot that was given away")),
        }
    }
}

/// The version as far as it can be told; what does not tell is no snapshot.
fn version(start: &[u8]) -> u64 {
    snapshot::version(start).unwrap_or(snapshot::VERSION)
}

/// Whether bytes are a compressed stream.
pub(crate) fn is_compressed(bytes: &[u8]) -> bool {
    compressed::begins(bytes)
}

/// Has something read from an input, or from the stream that is in it.
pub(crate) fn read_plain_or_compressed<T>(
    mut input: impl Read,
    read: impl FnOnce(&mut dyn Read) -> Result<T, snapshot::Error>,
) -> Result<T, Error> {
    let start = read_start(&mut input)?;
    let mut input = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(&start).chain(input));
    match compressed::begins(&start) {
        false => Ok(read(&mut input)?),
        true => Ok(compressed::read_by(&mut input, read)?.0),
    }
}

/// As much of an input as tells what it is.
fn read_start(input: &mut impl Read) -> Result<Vec<u8>, Error> {
    // NB: a pipe gives as little as it likes at once.
    let mut start = Vec::new();
    let begin = input.by_ref().take(START_BYTES).read_to_end(&mut start);
    begin.map_err(snapshot::Error::from)?;
    Ok(start)
}

/// A reader and how many bytes went through it.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

/// The bytes of a run if they are borrowed, from a file perhaps.
pub(crate) fn borrowed<'a>(bytes: &Cow<'a, [u8]>) -> Option<&'a [u8]> {
    match bytes {
        Cow::Borrowed(bytes) => Some(bytes),
        Cow::Owned(_) => None,
    }
}
