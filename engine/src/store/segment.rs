//! One file of a store: records one after the other, appended and never changed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::record::{HEADER_BYTES, Header};
use crate::error::Error;

/// What a segment begins with: what it is, and the version of its records.
const MAGIC: &[u8; 16] = b"tasklet segment\x01";
const ENDING: &str = "segment";
/// Bytes that are read, or written, at once.
const BUFFER_BYTES: usize = 64 << 10;

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

/// Reads a segment from its beginning.
pub(super) struct Scan {
    path: PathBuf,
    file: BufReader<File>,
    length: u64,
    at: u64,
}

/// What is found of a record, or behind the last.
pub(super) enum Found {
    /// It begins there.
    Record(u64, Header),
    /// The file ends.
    End,
    /// What begins there is no whole record.
    Torn(u64),
}

impl Scan {
    /// `None` if it does not even have the beginning of a segment.
    pub(super) fn open(directory: &Path, number: u32) -> Result<Option<Scan>, Error> {
        let path = path(directory, number);
        let failed = |error| Error::io("cannot read", &path)(error);
        let mut file = File::open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut magic = [0; MAGIC.len()];
        if length < MAGIC.len() as u64 {
            return Ok(None);
        }
        file.read_exact(&mut magic).map_err(failed)?;
        if magic != *MAGIC {
            return Err(damaged(&path, 0, "it is no segment of this version"));
        }
        let file = BufReader::with_capacity(BUFFER_BYTES, file);
        Ok(Some(Scan { path, file, length, at: MAGIC.len() as u64 }))
    }

    /// The next record, whose contents are left out.
    pub(super) fn next(&mut self) -> Result<Found, Error> {
        let begin = self.at;
        let found = self.header()?;
        if let Found::Record(_, header) = &found {
            let skipped = i64::try_from(header.stored).map_err(io::Error::other);
            let skipped = skipped.and_then(|bytes| self.file.seek_relative(bytes));
            skipped.map_err(Error::io("cannot read", &self.path))?;
            self.at = begin + header.record_bytes();
        }
        Ok(found)
    }

    /// The next record, with its contents, which are checked.
    pub(super) fn next_whole(&mut self) -> Result<(Found, Vec<u8>), Error> {
        let found = self.header()?;
        let Found::Record(begin, header) = &found else { return Ok((found, Vec::new())) };
        let contents = contents(&mut self.file, header, &self.path)?;
        if !header.is_of(&contents) {
            return Ok((Found::Torn(*begin), Vec::new()));
        }
        self.at = begin + header.record_bytes();
        Ok((found, contents))
    }

    /// Where the next record begins.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    fn header(&mut self) -> Result<Found, Error> {
        let left = self.length - self.at;
        if left == 0 {
            return Ok(Found::End);
        }
        if left < HEADER_BYTES as u64 {
            return Ok(Found::Torn(self.at));
        }
        let mut bytes = [0; HEADER_BYTES];
        self.file.read_exact(&mut bytes).map_err(Error::io("cannot read", &self.path))?;
        match Header::decode(&bytes) {
            Some(header) if header.record_bytes() <= left => Ok(Found::Record(self.at, header)),
            _ => Ok(Found::Torn(self.at)),
        }
    }

    /// The error of a place where a whole record should be.
    pub(super) fn damaged(&self, at: u64) -> Error {
        damaged(&self.path, at, "no whole record is there")
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
fn contents(file: &mut impl Read, header: &Header, path: &Path) -> Result<Vec<u8>, Error> {
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
