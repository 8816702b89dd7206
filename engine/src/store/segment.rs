//! One file of a store: records one after the other, appended and never changed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::record::{HEADER_BYTES, Header};
use crate::error::Error;

/// What a segment begins with: what it is, and the version of its records.
pub(super) const MAGIC: &[u8; 16] = b"tasklet segment\x01";
const ENDING: &str = "segment";
/// Bytes that are read, or written, at once.
pub(super) const BUFFER_BYTES: usize = 64 << 10;

/// The path of a segment; the later ones have higher numbers.
pub(super) fn path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("{number:08x}.{ENDING}"))
}

/// The number of the segment that is called so.
pub(super) fn number(name: &str) -> Option<u32> {
    let (number, ending) = name.split_once('.')?;
    let number = u32::from_str_radix(number, 16).ok().filter(|_| number.len() == 8)?;
    (ending == ENDING).then_some(number)
}

/// The segment that records are appended to.
#[derive(Debug)]
pub(super) struct Appended {
    pub(super) number: u32,
    path: PathBuf,
    file: File,
    bytes: u64,
    /// A record was written in part, and could not be taken back yet.
    is_torn: bool,
}

impl Appended {
    /// Makes a segment.
    pub(super) fn create(directory: &Path, number: u32) -> Result<Appended, Error> {
        let path = path(directory, number);
        let made = OpenOptions::new().write(true).create_new(true).open(&path);
        let mut file = made.map_err(Error::io("cannot write", &path))?;
        if let Err(error) = file.write_all(MAGIC) {
            let _ = fs::remove_file(&path);
            return Err(Error::io("cannot write", path)(error));
        }
        Ok(Appended { number, path, file, bytes: MAGIC.len() as u64, is_torn: false })
    }

    /// Goes on with one of which so many bytes are whole records; what is behind goes.
    pub(super) fn open(directory: &Path, number: u32, bytes: u64) -> Result<Appended, Error> {
        let path = path(directory, number);
        let failed = |error| Error::io("cannot write", &path)(error);
        let mut file = OpenOptions::new().write(true).open(&path).map_err(failed)?;
        file.set_len(bytes).map_err(failed)?;
        file.seek(SeekFrom::Start(bytes)).map_err(failed)?;
        Ok(Appended { number, path, file, bytes, is_torn: false })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends a record and returns where it begins. If that fails, nothing was appended.
    pub(super) fn append(&mut self, header: &Header, contents: &[u8]) -> Result<u64, Error> {
        let begin = self.bytes;
        let written = self.write(header, contents);
        written.map_err(Error::io("cannot write", &self.path))?;
        self.bytes += header.record_bytes();
        Ok(begin)
    }

    fn write(&mut self, header: &Header, contents: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.take_back()?;
        }
        // Small ones in one go.
        let (near, far) = contents.split_at(contents.len().min(BUFFER_BYTES));
        let mut record = Vec::with_capacity(HEADER_BYTES + near.len());
        record.extend_from_slice(&header.encode());
        record.extend_from_slice(near);
        let written = self.file.write_all(&record).and_then(|()| self.file.write_all(far));
        if written.is_err() {
            self.is_torn = true;
            let _ = self.take_back();
        }
        written
    }

    fn take_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.bytes)?;
        self.file.seek(SeekFrom::Start(self.bytes))?;
        self.is_torn = false;
        Ok(())
    }

    /// Waits until all of it would outlive a failure of power.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.file.sync_all().map_err(Error::io("cannot write", &self.path))
    }

    /// The same, and nothing is appended any more: no part of a record is left behind the last.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        if self.is_torn {
            self.take_back().map_err(Error::io("cannot write", &self.path))?;
        }
        self.sync()
    }
}

/// Reads the record that begins there.
pub(super) fn read(directory: &Path, number: u32, at: u64) -> Result<(Header, Vec<u8>), Error> {
    let path = path(directory, number);
    let failed = |error| Error::io("cannot read", &path)(error);
    let mut file = File::open(&path).map_err(failed)?;
    file.seek(SeekFrom::Start(at)).map_err(failed)?;
    let mut bytes = [0; HEADER_BYTES];
    file.read_exact(&mut bytes).map_err(failed)?;
    let header = Header::decode(&bytes).filter(|header| {
        file.metadata().is_ok_and(|file| header.record_bytes() <= file.len().saturating_sub(at))
    });
    let header = header.ok_or_else(|| damaged(&path, at, "no whole record is there"))?;
    let contents = contents(&mut file, &header, &path)?;
    match header.is_of(&contents) {
        true => Ok((header, contents)),
        false => Err(damaged(&path, at, "the digest is another")),
    }
}

/// Contents of which the file is known to be long enough.
pub(super) fn contents(
    file: &mut impl Read,
    header: &Header,
    path: &Path,
) -> Result<Vec<u8>, Error> {
    let mut contents = Vec::new();
    reserve(&mut contents, header.stored)?;
    let read = file.take(header.stored).read_to_end(&mut contents);
    read.map_err(Error::io("cannot read", path))?;
    Ok(contents)
}

/// Makes room, if there is any.
pub(super) fn reserve(bytes: &mut Vec<u8>, count: u64) -> Result<(), Error> {
    let room = usize::try_from(count).is_ok_and(|count| bytes.try_reserve_exact(count).is_ok());
    room.then_some(()).ok_or_else(|| Error::limit(format!("no memory for a record of {count}")))
}

pub(super) fn damaged(path: &Path, offset: u64, what: &'static str) -> Error {
    Error::StoreDamaged { path: path.to_path_buf(), offset, what }
}
