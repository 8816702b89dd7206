//! The guest's memory and a call's arguments, seen through checked accesses.

use std::ops::Range;

use crate::wasi::errno::Errno;
use crate::wasi::limits::{ARRAY_BYTES_MAX, PATH_BYTES_MAX};

/// A guest's linear memory; every access that is outside it, or not aligned to
/// its size, is `Errno::Fault`, which ends the guest.
pub(super) struct Memory<'a> {
    bytes: &'a mut [u8],
}

impl<'a> Memory<'a> {
    pub(super) fn new(bytes: &'a mut [u8]) -> Memory<'a> {
        Memory { bytes }
    }

    /// The host's view of `len` bytes at `at`, if they are all there.
    fn range(&self, at: u32, len: u32) -> Result<Range<usize>, Errno> {
        let start = usize::try_from(at).map_err(|_| Errno::Fault)?;
        let len = usize::try_from(len).map_err(|_| Errno::Fault)?;
        let end = start.checked_add(len).ok_or(Errno::Fault)?;
        if end > self.bytes.len() {
            return Err(Errno::Fault);
        }
        Ok(start..end)
    }

    pub(super) fn slice(&self, at: u32, len: u32) -> Result<&[u8], Errno> {
        let range = self.range(at, len)?;
        self.bytes.get(range).ok_or(Errno::Fault)
    }

    pub(super) fn slice_mut(&mut self, at: u32, len: u32) -> Result<&mut [u8], Errno> {
        let range = self.range(at, len)?;
        self.bytes.get_mut(range).ok_or(Errno::Fault)
    }

    fn read<const N: usize>(&self, at: u32) -> Result<[u8; N], Errno> {
        let len = u32::try_from(N).map_err(|_| Errno::Fault)?;
        aligned(at, len)?;
        self.slice(at, len)?.try_into().map_err(|_| Errno::Fault)
    }

    pub(super) fn u8(&self, at: u32) -> Result<u8, Errno> {
        self.read(at).map(u8::from_le_bytes)
    }

    pub(super) fn u16(&self, at: u32) -> Result<u16, Errno> {
        self.read(at).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&self, at: u32) -> Result<u32, Errno> {
        self.read(at).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&self, at: u32) -> Result<u64, Errno> {
        self.read(at).map(u64::from_le_bytes)
    }

    pub(super) fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Errno> {
        let len = u32::try_from(bytes.len()).map_err(|_| Errno::Fault)?;
        self.slice_mut(at, len)?.copy_from_slice(bytes);
        Ok(())
    }

    /// Writes a structure, which lies at a multiple of `align` bytes.
    pub(super) fn set(&mut self, at: u32, bytes: &[u8], align: u32) -> Result<(), Errno> {
        aligned(at, align)?;
        self.write(at, bytes)
    }

    pub(super) fn set_u32(&mut self, at: u32, value: u32) -> Result<(), Errno> {
        self.set(at, &value.to_le_bytes(), 4)
    }

    pub(super) fn set_u64(&mut self, at: u32, value: u64) -> Result<(), Errno> {
        self.set(at, &value.to_le_bytes(), 8)
    }

    /// A path or name handed over by the guest.
    pub(super) fn string(&self, at: u32, len: u32) -> Result<String, Errno> {
        if len > ARRAY_BYTES_MAX {
            return Err(Errno::Nomem);
        }
        let bytes = self.slice(at, len)?;
        if bytes.len() > PATH_BYTES_MAX {
            return Err(Errno::Nametoolong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Errno::Ilseq)?;
        Ok(text.to_owned())
    }

    /// The buffer that a scattered read or gathered write is about: the first that is not empty.
    ///
    /// As in wasmtime, and it is seen by the guest: its C library asks again for the rest, which
    /// takes steps. Whether it lies in memory is checked by who uses it.
    pub(super) fn buffer(&self, at: u32, count: u32) -> Result<Buffer, Errno> {
        if count > ARRAY_BYTES_MAX / 8 {
            return Err(Errno::Nomem);
        }
        for index in 0..count {
            let at = offset(at, index.checked_mul(8).ok_or(Errno::Fault)?)?;
            let buffer = Buffer { at: self.u32(at)?, len: self.u32(offset(at, 4)?)? };
            if buffer.len > 0 {
                return Ok(buffer);
            }
        }
        Ok(Buffer { at: 0, len: 0 })
    }
}

fn aligned(at: u32, align: u32) -> Result<(), Errno> {
    if at.is_multiple_of(align) { Ok(()) } else { Err(Errno::Fault) }
}

/// `at + by`, or a fault where it leaves the 32-bit address space.
pub(super) fn offset(at: u32, by: u32) -> Result<u32, Errno> {
    at.checked_add(by).ok_or(Errno::Fault)
}

/// A buffer of a scattered read or gathered write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Buffer {
    pub at: u32,
    pub len: u32,
}

/// One call: its arguments, the guest's memory, and when it happens.
pub(super) struct Call<'a> {
    args: &'a [u64],
    pub memory: Memory<'a>,
    /// Steps the guest was charged so far.
    pub steps: u64,
    /// When the call was first issued, in the guest's monotonic time; unset
    /// until something waits for it.
    pub since_ns: Option<u64>,
}

impl<'a> Call<'a> {
    pub(super) fn new(args: &'a [u64], memory: &'a mut [u8], steps: u64) -> Call<'a> {
        Call { args, memory: Memory::new(memory), steps, since_ns: None }
    }

    /// A 64-bit argument.
    pub(super) fn u64(&self, index: usize) -> u64 {
        self.args.get(index).copied().unwrap_or(0)
    }

    /// A 32-bit argument. However the engine widened it, the low half counts.
    pub(super) fn u32(&self, index: usize) -> u32 {
        self.u64(index) as u32
    }

    /// The path whose pointer and length are arguments `index` and the next.
    pub(super) fn path(&self, index: usize) -> Result<String, Errno> {
        let path = self.memory.string(self.u32(index), self.u32(index + 1))?;
        // Some systems would take it for another name, or for none.
        if path.contains('\0') { Err(Errno::Inval) } else { Ok(path) }
    }

    /// The first buffer that is not empty of the array and count in arguments `index` and the next.
    pub(super) fn buffer(&self, index: usize) -> Result<Buffer, Errno> {
        self.memory.buffer(self.u32(index), self.u32(index + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_are_little_endian_and_checked() {
        let mut bytes = [0u8; 16];
        let mut memory = Memory::new(&mut bytes);
        memory.set_u32(4, 0x0403_0201).unwrap();
        assert_eq!(memory.slice(4, 4).unwrap(), [1, 2, 3, 4]);
        assert_eq!(memory.u16(4).unwrap(), 0x0201);
        assert_eq!(memory.u16(5), Err(Errno::Fault));
        assert_eq!(memory.set(4, &[0; 8], 8), Err(Errno::Fault));
        assert_eq!(memory.u64(9), Err(Errno::Fault));
        assert_eq!(memory.set_u64(u32::MAX, 1), Err(Errno::Fault));
        assert_eq!(memory.slice(16, 0), Ok(&[][..]));
        assert_eq!(memory.slice(17, 0), Err(Errno::Fault));
        assert_eq!(memory.slice(u32::MAX, u32::MAX), Err(Errno::Fault));
    }

    #[test]
    fn the_first_buffer_that_is_not_empty_counts() {
        let mut bytes = [0u8; 64];
        let mut memory = Memory::new(&mut bytes);
        for (at, word) in [(0, 60), (4, 0), (8, 32), (12, 8), (16, 60), (20, 5)] {
            memory.set_u32(at, word).unwrap();
        }
        assert_eq!(memory.buffer(0, 1), Ok(Buffer { at: 0, len: 0 }));
        assert_eq!(memory.buffer(0, 3), Ok(Buffer { at: 32, len: 8 }));
        assert_eq!(memory.buffer(16, 1), Ok(Buffer { at: 60, len: 5 }));
        assert_eq!(memory.buffer(0, 1 << 24 | 1), Err(Errno::Nomem));
        assert_eq!(memory.buffer(0, 1 << 24), Ok(Buffer { at: 32, len: 8 }));
        assert_eq!(memory.buffer(48, 1 << 24), Err(Errno::Fault));
        assert_eq!(memory.buffer(u32::MAX - 3, 1), Err(Errno::Fault));
    }

    #[test]
    fn strings_are_utf8() {
        let mut bytes = *b"abc\xff";
        let memory = Memory::new(&mut bytes);
        assert_eq!(memory.string(0, 3).unwrap(), "abc");
        assert_eq!(memory.string(0, 4), Err(Errno::Ilseq));
        assert_eq!(memory.string(2, 3), Err(Errno::Fault));
    }
}
