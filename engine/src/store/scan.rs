//! Reads a segment from its beginning, and tells what a crash has left from damage.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::record::{HEADER_BYTES, Header};
use super::segment::{self, BUFFER_BYTES, MAGIC, damaged};
use crate::error::Error;

/// What the system writes as a whole, or after a failure of power leaves zero.
const BLOCK_BYTES: u64 = 4096;

/// A segment that is read.
pub(super) struct Scan {
    path: PathBuf,
    file: BufReader<File>,
    length: u64,
    /// Where the next record begins.
    at: u64,
    /// Bytes up to there that have not been read.
    unread: u64,
}

/// What is found of a record, or behind the last.
pub(super) enum Found {
    /// It begins there.
    Record(u64, Header),
    /// The file ends.
    End,
    /// A record begins there and the file ends before it does, as a killed writer leaves it.
    Short(u64),
    /// What begins there is no record.
    Damaged(u64),
}

impl Scan {
    /// `None` if it does not even have the beginning of a segment.
    pub(super) fn open(directory: &Path, number: u32) -> Result<Option<Scan>, Error> {
        let path = segment::path(directory, number);
        let failed = |error| Error::io("cannot read", &path)(error);
        let mut file = File::open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut magic = [0; MAGIC.len()];
        if length < MAGIC.len() as u64 {
            return Ok(None);
        }
        file.read_exact(&mut magic).map_err(failed)?;
        let file = BufReader::with_capacity(BUFFER_BYTES, file);
        let at = MAGIC.len() as u64;
        let mut scan = Scan { path, file, length, at, unread: 0 };
        if magic == [0; MAGIC.len()] && scan.is_torn(0)? {
            return Ok(None);
        }
        if magic != *MAGIC {
            return Err(damaged(&scan.path, 0, "it is no segment of this version"));
        }
        Ok(Some(scan))
    }

    /// The next record.
    pub(super) fn next(&mut self) -> Result<Found, Error> {
        let failed = Error::io("cannot read", &self.path);
        let skipped = i64::try_from(self.unread).map_err(io::Error::other);
        skipped.and_then(|bytes| self.file.seek_relative(bytes)).map_err(failed)?;
        self.unread = 0;
        let (begin, left) = (self.at, self.length.saturating_sub(self.at));
        if left == 0 {
            return Ok(Found::End);
        }
        if left < HEADER_BYTES as u64 {
            return Ok(Found::Short(begin));
        }
        let mut bytes = [0; HEADER_BYTES];
        self.file.read_exact(&mut bytes).map_err(Error::io("cannot read", &self.path))?;
        Ok(match Header::decode(&bytes) {
            Some(header) if header.record_bytes() <= left => {
                self.at = begin + header.record_bytes();
                self.unread = header.stored;
                Found::Record(begin, header)
            }
            Some(_) => Found::Short(begin),
            None => Found::Damaged(begin),
        })
    }

    /// The contents of the record that was found last, which may be damaged.
    pub(super) fn contents(&mut self, header: &Header) -> Result<Vec<u8>, Error> {
        self.unread = 0;
        segment::contents(&mut self.file, header, &self.path)
    }

    /// Where the next record begins.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether what begins there was not yet on the disk when power failed: the last block is zero,
    /// and no header follows. The scan is over by this.
    pub(super) fn is_torn(&mut self, begin: u64) -> Result<bool, Error> {
        let torn = self
            .ends_in_zeros(begin)
            .and_then(|zeros| Ok(zeros && self.header_behind(begin)?.is_none()));
        torn.map_err(Error::io("cannot read", &self.path))
    }

    /// The same of the last record that has a header.
    pub(super) fn is_torn_record(&mut self, begin: u64, header: &Header) -> Result<bool, Error> {
        let seek = self.file.seek(SeekFrom::Start(begin + HEADER_BYTES as u64));
        seek.map_err(Error::io("cannot read", &self.path))?;
        let contents = self.contents(header)?;
        if header.is_of(&contents) {
            return Ok(false);
        }
        let last = begin + header.record_bytes() - 1;
        let zeros = (last - last % BLOCK_BYTES).checked_sub(begin + HEADER_BYTES as u64);
        let zeros = zeros.and_then(|from| contents.get(usize::try_from(from).ok()?..));
        Ok(zeros.is_some_and(|zeros| zeros.iter().all(|byte| *byte == 0)))
    }

    /// Whether all is zero from there on, or from the beginning of the last block on.
    fn ends_in_zeros(&mut self, begin: u64) -> io::Result<bool> {
        let block = self.length.saturating_sub(1) / BLOCK_BYTES * BLOCK_BYTES;
        self.file.seek(SeekFrom::Start(block.max(begin)))?;
        let mut bytes = Vec::new();
        self.file.by_ref().take(BLOCK_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes.iter().all(|byte| *byte == 0))
    }

    /// Goes on with the next header behind that place, or at the end.
    pub(super) fn skip(&mut self, begin: u64) -> Result<(), Error> {
        let next = self.header_behind(begin).map_err(Error::io("cannot read", &self.path))?;
        self.at = next.unwrap_or(self.length);
        let there = self.file.seek(SeekFrom::Start(self.at));
        there.map_err(Error::io("cannot read", &self.path))?;
        self.unread = 0;
        Ok(())
    }

    /// Where the next header is behind that place.
    fn header_behind(&mut self, begin: u64) -> io::Result<Option<u64>> {
        let mut at = begin + 1;
        self.file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        loop {
            let read = self.file.by_ref().take(BUFFER_BYTES as u64).read_to_end(&mut bytes)?;
            let mut headers = bytes.windows(HEADER_BYTES).map(<[u8]>::first_chunk);
            let is_one = |bytes: Option<&_>| bytes.is_some_and(|b| Header::decode(b).is_some());
            if let Some(position) = headers.position(is_one) {
                return Ok(Some(at + position as u64));
            }
            if read == 0 {
                return Ok(None);
            }
            let looked_at = bytes.len().saturating_sub(HEADER_BYTES - 1);
            bytes.drain(..looked_at);
            at += looked_at as u64;
        }
    }

    /// The error of a place where a whole record should be.
    pub(super) fn damaged(&self, at: u64) -> Error {
        damaged(&self.path, at, "no whole record is there")
    }
}
