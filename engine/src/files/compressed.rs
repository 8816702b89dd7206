//! Compressed snapshots: a snapshot in a Zstandard stream, as `zstd` itself would make it.
//!
//! Compressing is no part of the format: the digest is that of the snapshot inside, and what
//! `zstd -d` gives back is the snapshot, whoever compressed it, and how well.

use std::io::{self, Read, Write};

use crate::error::Error;
use crate::snapshot::{self, Digest, ErrorKind, Limits, Snapshot};

/// How every Zstandard frame begins.
const MAGIC: u32 = 0xfd2f_b528;
/// How those begin that hold nothing of the content, but for the last four bits.
const SKIPPABLE_MAGIC: u32 = 0x184d_2a50;
/// The largest window of a stream that is read: 128 MiB of memory, as `zstd` itself takes.
const WINDOW_LOG_MAX: u32 = 27;

/// Whether an input is compressed.
pub(super) fn begins(start: &[u8]) -> bool {
    let magic = start.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    magic.is_some_and(|magic| magic == MAGIC || magic & !15 == SKIPPABLE_MAGIC)
}

/// Reads a snapshot out of a compressed stream; its version goes along.
pub(super) fn read(
    input: &mut dyn io::BufRead,
    limits: &Limits,
) -> Result<((Snapshot<'static>, Digest), u64), Error> {
    let (read, start) = read_by(input, |mut inside| Snapshot::read_from(&mut inside, limits))?;
    Ok((read, super::version(&start)))
}

/// Has something read out of a compressed stream, and returns its first bytes too. What comes out is
/// read as it comes, and held to the limits: a small file that claims to be a large snapshot costs no
/// more than one that is.
pub(super) fn read_by<T>(
    input: &mut dyn io::BufRead,
    read: impl FnOnce(&mut dyn Read) -> Result<T, snapshot::Error>,
) -> Result<(T, Vec<u8>), Error> {
    let unusable = |error: io::Error| Error::from(snapshot::Error::from(damaged(&error)));
    let mut decoder = zstd::Decoder::with_buffer(input).map_err(unusable)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(unusable)?;
    let mut inside = Inside { decoder, failed: None, start: Vec::new() };
    match read(&mut inside) {
        Ok(read) => Ok((read, inside.start)),
        // The stream itself is at fault, and not what the reader says of what it got.
        Err(_) if inside.failed.is_some() => {
            Err(snapshot::Error::from(inside.failed.take().expect("it was just there")).into())
        }
        Err(error) => Err(error.into()),
    }
}

fn damaged(error: &io::Error) -> ErrorKind {
    ErrorKind::Compressed { what: error.to_string() }
}

/// What is inside of a stream.
struct Inside<R> {
    decoder: R,
    /// Why no more came.
    failed: Option<ErrorKind>,
    /// As much as tells the version.
    start: Vec<u8>,
}

impl<R: Read> Read for Inside<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer);
        match &read {
            Ok(count) if self.start.len() < 32 => {
                let wanted = (32 - self.start.len()).min(*count);
                self.start.extend_from_slice(&buffer[..wanted]);
            }
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.failed = Some(damaged(error));
            }
            _ => {}
        }
        read
    }
}

/// Compresses what is written to it; [`finish`](Compressor::finish) writes the end.
pub struct Compressor<W: Write> {
    encoder: zstd::Encoder<'static, W>,
}

impl<W: Write> Compressor<W> {
    /// A writer into `out`, at a level of Zstandard's: 1 is fast, 19 small; 3 is usual.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(out: W, level: i32) -> io::Result<Compressor<W>> {
        Ok(Compressor { encoder: zstd::Encoder::new(out, level)? })
    }

    /// Writes the end, and gives back what it was made of.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn finish(self) -> io::Result<W> {
        self.encoder.finish()
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.encoder.write(buffer)
    }

    /// Nothing: what is asked for in the middle would make it larger. The end flushes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> std::fmt::Debug for Compressor<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}
