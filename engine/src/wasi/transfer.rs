//! Reading and writing through descriptors.

use crate::wasi::abi::{fdflags, rights};
use crate::wasi::errno::Errno;
use crate::wasi::fd::{Kind, OpenFile};
use crate::wasi::memory::{Buffer, Call};
use crate::wasi::poll::Wait;
use crate::wasi::{Answer, DONE, Outcome, Wasi, sys};

impl Wasi {
    pub(super) fn fd_read(&mut self, call: &mut Call<'_>) -> Answer {
        let buffers = call.buffers(1)?;
        call.memory.check(call.u32(3), 4)?;
        let descriptor = self.fds.get_mut(call.u32(0))?;
        let required = descriptor.require(rights::FD_READ);
        let count = match &mut descriptor.kind {
            Kind::Stdin => {
                required?;
                let nonblocking = descriptor.flags & fdflags::NONBLOCK != 0;
                match self.read_stdin(call, &buffers)? {
                    Some(count) => count,
                    None if nonblocking => return Err(Errno::Again),
                    None => {
                        return Ok(Outcome::Wait(Wait { deadline_ns: None, stdin: true }));
                    }
                }
            }
            Kind::File(file) => {
                let count = read_file(required, file, call, &buffers, file.offset)?;
                file.offset = file.offset.saturating_add(u64::from(count));
                count
            }
            _ => return Err(Errno::Badf),
        };
        call.memory.set_u32(call.u32(3), count)?;
        DONE
    }

    /// Reads what is there; `None` if nothing is, but may come.
    fn read_stdin(
        &mut self,
        call: &mut Call<'_>,
        buffers: &[Buffer],
    ) -> Result<Option<u32>, Errno> {
        let mut total = 0;
        for buffer in buffers {
            let target = call.memory.slice_mut(buffer.at, buffer.len)?;
            let count = match self.stdin.read(target) {
                Ok(Some(count)) => count as u32,
                Ok(None) if total == 0 => return Ok(None),
                Err(error) if total == 0 => return Err(error),
                Ok(None) | Err(_) => break,
            };
            total += count;
            if count < buffer.len {
                break;
            }
        }
        Ok(Some(total))
    }

    pub(super) fn fd_pread(&mut self, call: &mut Call<'_>) -> Answer {
        let buffers = call.buffers(1)?;
        call.memory.check(call.u32(4), 4)?;
        let descriptor = self.fds.get_mut(call.u32(0))?;
        let required = descriptor.require(rights::FD_READ | rights::FD_SEEK);
        let count = match &mut descriptor.kind {
            Kind::File(file) => read_file(required, file, call, &buffers, call.u64(3))?,
            Kind::Stdin => return Err(Errno::Spipe),
            _ => return Err(Errno::Badf),
        };
        call.memory.set_u32(call.u32(4), count)?;
        DONE
    }

    pub(super) fn fd_write(&mut self, call: &mut Call<'_>) -> Answer {
        let buffers = call.buffers(1)?;
        call.memory.check(call.u32(3), 4)?;
        let descriptor = self.fds.get_mut(call.u32(0))?;
        let required = descriptor.require(rights::FD_WRITE);
        let stream = match &mut descriptor.kind {
            Kind::Stdout => &mut self.stdout,
            Kind::Stderr => &mut self.stderr,
            Kind::File(file) => {
                let flags = descriptor.flags;
                let count = write_file(required, file, flags, call, &buffers, file.offset)?;
                file.offset = if flags & fdflags::APPEND != 0 {
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
        let mut total = 0;
        for buffer in &buffers {
            match stream.write(call.memory.slice(buffer.at, buffer.len)?) {
                Ok(count) => total += count,
                Err(error) if total == 0 => return Err(error),
                Err(_) => break,
            }
        }
        call.memory.set_u32(call.u32(3), total)?;
        DONE
    }

    pub(super) fn fd_pwrite(&mut self, call: &mut Call<'_>) -> Answer {
        let buffers = call.buffers(1)?;
        call.memory.check(call.u32(4), 4)?;
        let descriptor = self.fds.get_mut(call.u32(0))?;
        let required = descriptor.require(rights::FD_WRITE | rights::FD_SEEK);
        let flags = descriptor.flags;
        let count = match &mut descriptor.kind {
            Kind::File(file) => write_file(required, file, flags, call, &buffers, call.u64(3))?,
            Kind::Stdout | Kind::Stderr => return Err(Errno::Spipe),
            _ => return Err(Errno::Badf),
        };
        call.memory.set_u32(call.u32(4), count)?;
        DONE
    }
}

/// Fills the buffers in turn, up to the file's end. What was read before an
/// error counts; the error comes again with the next call.
fn read_file(
    required: Result<(), Errno>,
    file: &OpenFile,
    call: &mut Call<'_>,
    buffers: &[Buffer],
    offset: u64,
) -> Result<u32, Errno> {
    if !file.readable {
        return Err(Errno::Badf);
    }
    required?;
    let mut total = 0u32;
    for buffer in buffers {
        let at = offset.checked_add(u64::from(total)).ok_or(Errno::Inval)?;
        let target = call.memory.slice_mut(buffer.at, buffer.len)?;
        let count = match sys::read_at(&file.handle, target, at) {
            Ok(count) => count as u32,
            Err(error) if total == 0 => return Err(error.into()),
            Err(_) => break,
        };
        total += count;
        if count < buffer.len {
            break;
        }
    }
    Ok(total)
}

/// Writes the buffers in turn. As on Linux, a file set to append is appended
/// to wherever the write asks to go.
fn write_file(
    required: Result<(), Errno>,
    file: &OpenFile,
    flags: u32,
    call: &Call<'_>,
    buffers: &[Buffer],
    offset: u64,
) -> Result<u32, Errno> {
    if !file.writable {
        return Err(Errno::Badf);
    }
    required?;
    let mut total = 0u32;
    for buffer in buffers {
        let at = offset.checked_add(u64::from(total)).ok_or(Errno::Inval)?;
        let source = call.memory.slice(buffer.at, buffer.len)?;
        let written = if flags & fdflags::APPEND != 0 {
            sys::append(&file.handle, source)
        } else {
            sys::write_at(&file.handle, source, at)
        };
        let count = match written {
            Ok(count) => count as u32,
            Err(error) if total == 0 => return Err(error.into()),
            Err(_) => break,
        };
        total += count;
        if count < buffer.len {
            break;
        }
    }
    // NB: done here and not by the system's own flags, which cannot be changed
    // on an open file. Reads need nothing for RSYNC: writes have not lingered.
    if flags & (fdflags::SYNC | fdflags::RSYNC) != 0 {
        file.handle.sync_all()?;
    } else if flags & fdflags::DSYNC != 0 {
        file.handle.sync_data()?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests;
