//! Deterministic CBOR out: heads, small items through a buffer, bulk bytes straight through.

use std::io::{self, IoSlice, Write};

use super::rules::{Rule, no_zero_page};
use super::source::{PARALLEL_BYTES, hash};
use super::{Digest, Error, ErrorKind};

/// Size of the buffer, large enough for BLAKE3 to hash with all its lanes.
const BUFFER_BYTES: usize = 64 * 1024;

/// Byte strings from this size on are not copied into the buffer. A smaller
/// one would cost more as a system call of its own than as a copy.
const DIRECT_BYTES: usize = 16 * 1024;

/// How much is hashed before the next thing is done with it: large enough for several threads,
/// and still in a cache afterwards.
const STRIDE_BYTES: usize = 2 * 1024 * 1024;

/// Parts handed to one system call; no system takes more than 1024.
const PARTS_AT_ONCE: usize = 512;

/// The major types of CBOR (RFC 8949 section 3.1), as the high bits of a head.
pub(super) mod major {
    pub const UNSIGNED: u8 = 0;
    pub const NEGATIVE: u8 = 1;
    pub const BYTES: u8 = 2;
    pub const TEXT: u8 = 3;
    pub const ARRAY: u8 = 4;
    pub const MAP: u8 = 5;
    pub const SIMPLE: u8 = 7;
}

/// Bytes of the head of an item with that argument.
pub(super) fn head_bytes(argument: u64) -> u64 {
    match argument {
        0..24 => 1,
        24..0x100 => 2,
        0x100..0x1_0000 => 3,
        0x1_0000..0x1_0000_0000 => 5,
        _ => 9,
    }
}

/// The simple values the format uses.
pub(super) mod simple {
    pub const FALSE: u64 = 20;
    pub const TRUE: u64 = 21;
    pub const NULL: u64 = 22;
}

/// A CBOR writer that hashes what it writes.
pub(super) struct Writer<'w> {
    out: &'w mut dyn Write,
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
    /// Bytes so far.
    at: u64,
}

impl<'w> Writer<'w> {
    pub fn new(out: &'w mut dyn Write) -> Writer<'w> {
        Writer {
            out,
            buffer: Vec::with_capacity(BUFFER_BYTES + DIRECT_BYTES),
            hasher: blake3::Hasher::new(),
            at: 0,
        }
    }

    /// Offset of the next byte.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Writes bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.at += bytes.len() as u64;
        if bytes.len() >= DIRECT_BYTES {
            return self.bulk(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.spill()?;
        }
        Ok(())
    }

    fn bulk(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.spill()?;
        for stride in bytes.chunks(STRIDE_BYTES) {
            self.hasher.update(stride);
            self.out.write_all(stride)?;
        }
        Ok(())
    }

    /// Writes pages as they are. If they are many, this thread writes while others hash, and see
    /// whether one is zero that should not be there.
    pub fn parts(&mut self, parts: &[&[u8]]) -> Result<(), Error> {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        if bytes < PARALLEL_BYTES {
            return parts.iter().try_for_each(|part| self.raw(part));
        }
        self.spill()?;
        self.at += bytes as u64;
        let (hasher, out) = (&mut self.hasher, &mut *self.out);
        let mut zero_page = Ok(());
        rayon::in_place_scope(|scope| {
            scope.spawn(|_| zero_page = hash_pages(hasher, parts));
            write_all_vectored(out, parts)
        })?;
        zero_page.map_err(|what| ErrorKind::Invalid { what }.into())
    }

    fn spill(&mut self) -> Result<(), Error> {
        self.hasher.update(&self.buffer);
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the head of an item with its argument in the shortest form.
    pub fn head(&mut self, major: u8, argument: u64) -> Result<(), Error> {
        let major = major << 5;
        if argument < 24 {
            self.raw(&[major | argument as u8])
        } else if let Ok(argument) = u8::try_from(argument) {
            self.raw(&[major | 24, argument])
        } else if let Ok(argument) = u16::try_from(argument) {
            self.raw(&[major | 25])?;
            self.raw(&argument.to_be_bytes())
        } else if let Ok(argument) = u32::try_from(argument) {
            self.raw(&[major | 26])?;
            self.raw(&argument.to_be_bytes())
        } else {
            self.raw(&[major | 27])?;
            self.raw(&argument.to_be_bytes())
        }
    }

    pub fn unsigned(&mut self, value: impl Into<u64>) -> Result<(), Error> {
        self.head(major::UNSIGNED, value.into())
    }

    pub fn integer(&mut self, value: i64) -> Result<(), Error> {
        if value < 0 {
            self.head(major::NEGATIVE, !value as u64)
        } else {
            self.head(major::UNSIGNED, value as u64)
        }
    }

    pub fn text(&mut self, text: &str) -> Result<(), Error> {
        self.head(major::TEXT, text.len() as u64)?;
        self.raw(text.as_bytes())
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.head(major::BYTES, bytes.len() as u64)?;
        self.raw(bytes)
    }

    pub fn array(&mut self, len: usize) -> Result<(), Error> {
        self.head(major::ARRAY, len as u64)
    }

    pub fn map(&mut self, len: usize) -> Result<(), Error> {
        self.head(major::MAP, len as u64)
    }

    pub fn null(&mut self) -> Result<(), Error> {
        self.head(major::SIMPLE, simple::NULL)
    }

    pub fn bool(&mut self, value: bool) -> Result<(), Error> {
        self.head(major::SIMPLE, if value { simple::TRUE } else { simple::FALSE })
    }

    /// Writes an index or null.
    pub fn index_or_null(&mut self, index: Option<u32>) -> Result<(), Error> {
        match index {
            Some(index) => self.unsigned(index),
            None => self.null(),
        }
    }

    /// Writes an array of indices.
    pub fn indices(&mut self, indices: &[u32]) -> Result<(), Error> {
        self.array(indices.len())?;
        indices.iter().try_for_each(|&index| self.unsigned(index))
    }

    /// Writes the digest of everything before its 32 bytes, its own head included.
    pub fn finish(mut self) -> Result<Digest, Error> {
        self.head(major::BYTES, 32)?;
        self.spill()?;
        let digest = Digest(*self.hasher.finalize().as_bytes());
        self.out.write_all(&digest.0)?;
        self.out.flush()?;
        Ok(digest)
    }
}

/// Hashes pages, and looks at those of large parts while they are in the cache; small parts have
/// been looked at before.
fn hash_pages(hasher: &mut blake3::Hasher, parts: &[&[u8]]) -> Rule {
    for part in parts {
        for bytes in part.chunks(STRIDE_BYTES) {
            hash(hasher, bytes);
            if part.len() >= PARALLEL_BYTES {
                no_zero_page(bytes)?;
            }
        }
    }
    Ok(())
}

fn write_all_vectored(out: &mut dyn Write, parts: &[&[u8]]) -> io::Result<()> {
    for parts in parts.chunks(PARTS_AT_ONCE) {
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut left = &mut slices[..];
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match out.write_vectored(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
