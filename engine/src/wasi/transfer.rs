//! Reading and writing through descriptors.

use std::fs::File;
use std::io;

use crate::wasi::abi::{fdflags, rights};
use crate::wasi::errno::Errno;
use crate::wasi::fd::{Kind, OpenFile};
use crate::wasi::limits::PREAD_BYTES_MAX;
use crate::wasi::memory::{Buffer, Call};
use crate::wasi::poll::Wait;
use crate::wasi::{Answer, DONE, Outcome, Wasi, sys};

impl Wasi {
    pub(super) fn fd_read(&mut self, call: &mut Call<'_>) -> Answer {
        let buffer = call.buffer(1)?;
        let descriptor = self.fds.get_mut(call.u32(0))?;
        let required = descriptor.require(rights::FD_READ);
        let count = match &mut descriptor.kind {
            Kind::Stdin => {
                required?;
                match self.stdin.read(call.memory.slice_mut(buffer.at, buffer.len)?)? {
                    Some(count) => count as u32,
                    None => {
                        return Ok(Outcome::Wait(Wait { deadline_ns: None, stdin: true }));
                    }
                }
            }
            Kind::File(file) => {
                let count = read_file(required, file, call, buffer, file.offset)?;
                file.offset = file.offset.saturating_add(u64::from(count));
                count
            }
            _ => return Err(Errno::Badf),
        };
        call.memory.set_u32(call.u32(3), count)?;
        DONE
    }

    pub(super) fn fd_pread(&mut self, call: &mut Call<'_>) -> Answer {
        let buffer = call.buffer(1)?;
        let descriptor = self.fds.get_mut(call.u32(0))?;
        let required = descriptor.require(rights::FD_READ | rights::FD_SEEK);
        let count = match &mut descriptor.kind {
            Kind::File(file) => pread_file(required, file, call, buffer)?,
            Kind::Stdin => return Err(Errno::Spipe),
            _ => return Err(Errno::Badf),
        };
        call.memory.set_u32(call.u32(4), count)?;
        DONE
    }

    pub(super) fn fd_write(&mut self, call: &mut Call<'_>) -> Answer {
        let buffer = call.buffer(1)?;
        let whole = self.deterministic;
        let descriptor = self.fds.get_mut(call.u32(0))?;
        let required = descriptor.require(rights::FD_WRITE);
        let (stream, name) = match &mut descriptor.kind {
            Kind::Stdout => (&mut self.stdout, "standard output"),
            Kind::Stderr => (&mut self.stderr, "standard error"),
            Kind::File(file) => {
                let how = How { flags: descriptor.flags, whole };
                let count = write_file(required, file, how, call, buffer, file.offset)?;
                file.offset = if how.flags & fdflags::APPEND != 0 {
                    file.handle.metadata()?.len()
                } else {
                    file.offset.saturating_add(u64::from(count))
                };
                call.memory.set_u32(call.u32(3), count)?;
                return DONE;
            }
            _ => return Err(Errno::Badf),
        };
        required?;
        let bytes = call.memory.slice(buffer.at, buffer.len)?;
        let count = if whole {
            let fails = self.fails_from.is_some_and(|from| from <= call.steps);
            let written = match fails && !std::mem::take(&mut self.passes) {
                true => Err(io::Error::other("it is to be seen whether it failed here")),
                false => stream.write_whole(bytes),
            };
            written.map_err(|error| {
                self.failure = Some(format!("cannot write to the program's {name}: {error}"));
                Errno::Io
            })?
        } else {
            stream.write(bytes)?
        };
        call.memory.set_u32(call.u32(3), count)?;
        DONE
    }

    pub(super) fn fd_pwrite(&mut self, call: &mut Call<'_>) -> Answer {
        let buffer = call.buffer(1)?;
        let descriptor = self.fds.get_mut(call.u32(0))?;
        let required = descriptor.require(rights::FD_WRITE | rights::FD_SEEK);
        let how = How { flags: descriptor.flags, whole: self.deterministic };
        let count = match &mut descriptor.kind {
            Kind::File(file) => write_file(required, file, how, call, buffer, call.u64(3))?,
            Kind::Stdout | Kind::Stderr => return Err(Errno::Spipe),
            _ => return Err(Errno::Badf),
        };
        call.memory.set_u32(call.u32(4), count)?;
        DONE
    }
}

/// Fills the buffer, up to the file's end.
fn read_file(
    required: Result<(), Errno>,
    file: &OpenFile,
    call: &mut Call<'_>,
    buffer: Buffer,
    offset: u64,
) -> Result<u32, Errno> {
    if !file.readable {
        return Err(Errno::Badf);
    }
    required?;
    let target = call.memory.slice_mut(buffer.at, buffer.len)?;
    Ok(sys::read_at(&file.handle, target, offset)? as u32)
}

/// The same at the offset the call gives. As in wasmtime, no more than so many bytes at once, and
/// it is what there is to read that must have room in memory, not what was asked for.
fn pread_file(
    required: Result<(), Errno>,
    file: &OpenFile,
    call: &mut Call<'_>,
    buffer: Buffer,
) -> Result<u32, Errno> {
    let offset = call.u64(3);
    let buffer = Buffer { at: buffer.at, len: buffer.len.min(PREAD_BYTES_MAX) };
    if call.memory.slice(buffer.at, buffer.len).is_ok() || !file.readable {
        return read_file(required, file, call, buffer, offset);
    }
    required?;
    let mut bytes = vec![0; buffer.len as usize];
    let count = sys::read_at(&file.handle, &mut bytes, offset)?;
    if count > 0 {
        call.memory.write(buffer.at, bytes.get(..count).unwrap_or_default())?;
    }
    Ok(count as u32)
}

/// How a file is written to.
#[derive(Clone, Copy)]
struct How {
    /// The descriptor's flags.
    flags: u32,
    /// All or nothing: how much a host takes at once is no answer for a deterministic guest.
    whole: bool,
}

/// Writes the buffer. As on Linux, a file set to append is appended to wherever the write asks to
/// go.
fn write_file(
    required: Result<(), Errno>,
    file: &OpenFile,
    how: How,
    call: &Call<'_>,
    buffer: Buffer,
    offset: u64,
) -> Result<u32, Errno> {
    if !file.writable {
        return Err(Errno::Badf);
    }
    required?;
    let source = call.memory.slice(buffer.at, buffer.len)?;
    let append = how.flags & fdflags::APPEND != 0;
    let count = match (append, how.whole) {
        (true, true) => append_whole(&file.handle, source)?,
        (true, false) => sys::append(&file.handle, source)?,
        (false, true) => write_whole_at(&file.handle, source, offset)?,
        (false, false) => sys::write_at(&file.handle, source, offset)?,
    };
    // NB: done here and not by the system's own flags, which cannot be changed
    // on an open file. Reads need nothing for RSYNC: writes have not lingered.
    if how.flags & (fdflags::SYNC | fdflags::RSYNC) != 0 {
        file.handle.sync_all()?;
    } else if how.flags & fdflags::DSYNC != 0 {
        file.handle.sync_data()?;
    }
    Ok(count as u32)
}

/// Writes all of it. What was written when that fails is written again by another attempt.
fn write_whole_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match sys::write_at(file, rest, offset.saturating_add(done as u64))? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => done += count,
        }
    }
    Ok(done)
}

/// Appends all of it, or takes back what was appended.
fn append_whole(file: &File, bytes: &[u8]) -> io::Result<usize> {
    let end = file.metadata()?.len();
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        let error = match sys::append(file, rest) {
            Ok(0) => io::ErrorKind::WriteZero.into(),
            Ok(count) => {
                done += count;
                continue;
            }
            Err(error) => error,
        };
        file.set_len(end)?;
        return Err(error);
    }
    Ok(done)
}

#[cfg(test)]
mod tests;
