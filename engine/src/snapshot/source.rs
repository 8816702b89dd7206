//! Bytes in: a buffer in front of the input, a hash behind it, growth bounded by what arrives.

use std::borrow::Cow;
use std::io::{self, Read};

use super::{Digest, Error, ErrorKind};

/// Size of the buffer, and the most that is allocated ahead of the bytes that fill it.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;

/// From this many bytes on it is worth waking other threads to hash them.
pub(super) const PARALLEL_BYTES: usize = 512 * 1024;

/// Where bytes come from.
enum Input<'r> {
    Stream(&'r mut dyn Read),
    /// All of them are in the buffer.
    Whole,
}

/// An input that is hashed as it is consumed; one that is in memory, when it has been.
pub(super) struct Source<'r> {
    input: Input<'r>,
    buffer: Cow<'r, [u8]>,
    /// Within `buffer`: `..hashed` is in the hash, `..next` is consumed, `..filled` holds input.
    hashed: usize,
    next: usize,
    filled: usize,
    /// Offset in the input of the buffer's first byte.
    offset: u64,
    hasher: blake3::Hasher,
}

impl<'r> Source<'r> {
    pub fn new(input: &'r mut dyn Read) -> Source<'r> {
        Source {
            input: Input::Stream(input),
            buffer: vec![0; BUFFER_BYTES].into(),
            hashed: 0,
            next: 0,
            filled: 0,
            offset: 0,
            hasher: blake3::Hasher::new(),
        }
    }

    /// Reads what is in memory, without copying the bulk of it.
    pub fn whole(bytes: &'r [u8]) -> Source<'r> {
        Source {
            input: Input::Whole,
            buffer: bytes.into(),
            hashed: 0,
            next: 0,
            filled: bytes.len(),
            offset: 0,
            hasher: blake3::Hasher::new(),
        }
    }

    /// Offset in the input of the next byte.
    pub fn at(&self) -> u64 {
        self.offset + self.next as u64
    }

    /// Reads into `space`, which is not empty; an end of input is an error.
    fn pull(input: &mut dyn Read, space: &mut [u8], at: u64) -> Result<usize, Error> {
        loop {
            match input.read(space) {
                Ok(0) => return Err(ErrorKind::Truncated { at }.into()),
                // NB: a `Read` that claims more than it was given room for is a
                // bug of safe code elsewhere; it must not become an index panic here.
                Ok(read) => return Ok(read.min(space.len())),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn hash_consumed(&mut self) {
        hash(&mut self.hasher, &self.buffer[self.hashed..self.next]);
        self.hashed = self.next;
    }

    /// Empties the buffer, all of which is consumed.
    fn empty(&mut self) {
        self.hash_consumed();
        self.offset += self.filled as u64;
        (self.hashed, self.next, self.filled) = (0, 0, 0);
    }

    /// Makes sure that a byte is in the buffer.
    fn fill(&mut self) -> Result<(), Error> {
        if self.next == self.filled {
            self.empty();
            let Input::Stream(input) = &mut self.input else {
                return Err(ErrorKind::Truncated { at: self.offset }.into());
            };
            self.filled = Self::pull(*input, self.buffer.to_mut(), self.offset)?;
        }
        Ok(())
    }

    /// The next byte, without consuming it.
    pub fn peek(&mut self) -> Result<u8, Error> {
        self.fill()?;
        Ok(self.buffer[self.next])
    }

    pub fn byte(&mut self) -> Result<u8, Error> {
        self.fill()?;
        self.next += 1;
        Ok(self.buffer[self.next - 1])
    }

    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(bytes)
    }

    /// As [`raw`](Source::raw), but what is in memory already is lent.
    pub fn bulk(&mut self, len: u64) -> Result<Cow<'r, [u8]>, Error> {
        let Cow::Borrowed(whole) = self.buffer else { return self.raw(len).map(Cow::Owned) };
        let rest = &whole[self.next..self.filled];
        let bytes = usize::try_from(len).ok().and_then(|len| rest.get(..len));
        let at = self.offset + self.filled as u64;
        let bytes = bytes.ok_or(ErrorKind::Truncated { at })?;
        self.next += bytes.len();
        Ok(Cow::Borrowed(bytes))
    }

    /// Reads `len` bytes, allocating no more than twice what has arrived, or one buffer.
    ///
    /// Bulk goes from the input straight to its place, hashed while in the cache.
    pub fn raw(&mut self, len: u64) -> Result<Vec<u8>, Error> {
        let too_big = |_| io::Error::from(io::ErrorKind::OutOfMemory);
        let len = usize::try_from(len).map_err(too_big)?;
        let mut out = Vec::new();
        while out.len() < len {
            let wanted = len - out.len();
            let stream = matches!(self.input, Input::Stream(_));
            if stream && self.next == self.filled && wanted >= BUFFER_BYTES {
                self.raw_direct(&mut out, wanted)?;
                continue;
            }
            self.fill()?;
            let step = wanted.min(self.filled - self.next);
            grow(&mut out, step, wanted)?;
            out.extend_from_slice(&self.buffer[self.next..self.next + step]);
            self.next += step;
        }
        Ok(out)
    }

    /// Reads the next [`BUFFER_BYTES`] past the buffer, which is consumed.
    fn raw_direct(&mut self, out: &mut Vec<u8>, wanted: usize) -> Result<(), Error> {
        self.empty();
        grow(out, BUFFER_BYTES, wanted)?;
        let start = out.len();
        // NB: zeroing costs little, as the page faults are taken and the lines
        // are in the cache when the bytes arrive; leaving it out takes `unsafe`.
        out.resize(start + BUFFER_BYTES, 0);
        let mut done = start;
        let Input::Stream(input) = &mut self.input else { return Ok(()) };
        while done < out.len() {
            let read = Self::pull(*input, &mut out[done..], self.offset)?;
            done += read;
            self.offset += read as u64;
        }
        self.hasher.update(&out[start..]);
        Ok(())
    }

    /// The hash of everything consumed.
    pub fn digest(&mut self) -> Digest {
        self.hash_consumed();
        Digest(*self.hasher.finalize().as_bytes())
    }

    /// Whether the input ends here; waits for its end.
    pub fn ended(&mut self) -> Result<bool, Error> {
        match self.fill() {
            Ok(()) => Ok(false),
            Err(error) if matches!(error.kind(), ErrorKind::Truncated { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// Hashes bytes, on all processors if they are many.
pub(super) fn hash(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    if bytes.len() < PARALLEL_BYTES {
        hasher.update(bytes);
    } else {
        hasher.update_rayon(bytes);
    }
}

/// Makes room for `step` of the `wanted` bytes still to come, doubling but never beyond them.
fn grow(out: &mut Vec<u8>, step: usize, wanted: usize) -> Result<(), Error> {
    if out.capacity() - out.len() < step {
        let room = step.max(out.len().min(wanted));
        out.try_reserve_exact(room).map_err(io::Error::from)?;
    }
    Ok(())
}
