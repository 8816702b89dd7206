//! Memory that several mappings have in common: parts of a file without a name.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, memfd_create};
use rustix::process::{Pid, Resource, getpid, getrlimit};

use crate::files::put_pages;

/// The file of a process. There is one, or each fork would take a descriptor.
#[derive(Debug)]
struct Arena {
    file: File,
    /// Its length. Each region is behind all others, those included that are gone: offsets are not
    /// used again.
    end: Mutex<u64>,
    /// Who has made it. Processes that were forked from it have the file in common with it, and
    /// leave it alone.
    process: Pid,
}

impl Arena {
    fn new() -> rustix::io::Result<Arena> {
        let (name, flags) = ("tasklet-forks", MemfdFlags::CLOEXEC);
        // Linux knows the flag since 6.3, and may insist on it.
        let file = memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL);
        let file = file.or_else(|_| memfd_create(name, flags))?;
        Ok(Arena { file: file.into(), end: Mutex::new(0), process: getpid() })
    }
}

/// That of this process.
fn arena() -> Option<Arc<Arena>> {
    static ARENA: Mutex<Option<Arc<Arena>>> = Mutex::new(None);
    let mut known = ARENA.lock().unwrap_or_else(PoisonError::into_inner);
    if known.as_ref().is_none_or(|arena| arena.process != getpid()) {
        *known = Some(Arc::new(Arena::new().ok()?));
    }
    known.clone()
}

/// Pages that are written once and then mapped by all who have it. They are given back with the last
/// of these.
#[derive(Debug)]
pub(super) struct Region {
    arena: Arc<Arena>,
    start: u64,
    bytes: u64,
}

impl Region {
    /// New zero pages; none where the system has no room for them. `bytes` is a multiple of the
    /// system's pages.
    pub(super) fn new(bytes: u64) -> Option<Region> {
        // Beyond such a limit the system ends the process.
        if getrlimit(Resource::Fsize).current.is_some() {
            return None;
        }
        let arena = arena()?;
        let mut end = arena.end.lock().unwrap_or_else(PoisonError::into_inner);
        let start = *end;
        let new_end = start.checked_add(bytes)?;
        arena.file.set_len(new_end).ok()?;
        *end = new_end;
        drop(end);
        Some(Region { arena, start, bytes })
    }

    /// Where a part of it is in the file. A region is left only by a bug of ours.
    fn offset(&self, at: u64, bytes: usize) -> u64 {
        assert!(at + bytes as u64 <= self.bytes, "a region was left");
        self.start + at
    }

    /// Writes to it, before anybody has it mapped there.
    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.arena.file.write_all_at(bytes, self.offset(at, bytes.len()))
    }

    /// Reads what was written.
    pub(super) fn read(&self, at: u64, to: &mut [u8]) -> io::Result<()> {
        let offset = self.offset(at, to.len());
        self.arena.file.read_exact_at(to, offset)
    }

    /// Puts a private copy of its pages in place of memory. Whether it was done; if not, `to` is what
    /// it was, or zero.
    pub(super) fn put(&self, at: u64, to: &mut [u8]) -> bool {
        let offset = self.offset(at, to.len());
        put_pages(&self.arena.file, offset, to)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // A process that was forked from ours must not take away what is still mapped here.
        if self.arena.process == getpid() {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let given_back = fallocate(&self.arena.file, flags, self.start, self.bytes);
            debug_assert!(given_back.is_ok());
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::fstat;
    use rustix::param::page_size;

    use super::*;

    /// Pages that were not written are zero, and regions have nothing to do with one another.
    #[test]
    fn a_region_holds_what_was_written() {
        let page = page_size();
        let [one, other] = [(); 2].map(|()| Region::new(4 * page as u64).expect("there is room"));
        one.write(page as u64, &vec![1; page]).expect("it is written");
        other.write(0, &vec![2; 4 * page]).expect("it is written");
        let mut all = vec![7; 4 * page];
        one.read(0, &mut all).expect("it is read");
        let expected = [0, 1, 0, 0].map(|byte| vec![byte; page]).concat();
        assert!(all == expected);
        drop(other);
        one.read(0, &mut all).expect("it is read");
        assert!(all == expected);
    }

    #[test]
    fn what_is_given_back_takes_no_memory() {
        const BYTES: u64 = 8 << 20;
        let blocks = |region: &Region| fstat(&region.arena.file).expect("it is there").st_blocks;
        let kept = Region::new(page_size() as u64).expect("there is room");
        let region = Region::new(BYTES).expect("there is room");
        region.write(0, &vec![1; BYTES as usize]).expect("it is written");
        let full = blocks(&kept);
        drop(region);
        // Other tests have regions, too, but none as large.
        assert!(blocks(&kept) < full - 8192);
    }
}
