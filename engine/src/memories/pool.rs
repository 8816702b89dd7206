//! Slots for linear memories, cut out of large mappings.
#![expect(unsafe_code, reason = "memory comes from the system, and wasmtime is given addresses")]

use std::collections::HashSet;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use rustix::param::page_size;
use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

use super::NO_ROOM;
use super::slots::{CLASS_BYTES, Slots, WARM_BYTES, class_for, lead};
use crate::changes;
use crate::snapshot::PAGE_BYTES;

/// What wasmtime is told to reserve for heaps of references, and for nothing else. The pool reserves
/// nothing for either.
pub(super) const HEAP_MARK: u64 = 64 << 10;

/// The mappings, and which parts of them are in use.
#[derive(Debug)]
pub(crate) struct Pool {
    state: Mutex<State>,
    /// The size that no heap of references exceeds.
    heap_bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    slots: Slots,
    /// Address and size of every chunk. They are kept until the pool is dropped: what is free in
    /// them is no more than address space.
    chunks: Vec<(usize, usize)>,
    /// Addresses of slots of which a part is no longer mapped as the pool has mapped it.
    altered: HashSet<usize>,
}

impl Pool {
    pub(super) fn new(heap_bytes_max: u64) -> Pool {
        let heap_bytes_max = usize::try_from(heap_bytes_max).unwrap_or(usize::MAX);
        let heap_bytes_max = heap_bytes_max.checked_next_multiple_of(page_size());
        let heap_bytes_max = heap_bytes_max.unwrap_or(usize::MAX);
        Pool { state: Mutex::default(), heap_bytes_max }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics in between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_altered(&self, start: usize) {
        self.state().altered.insert(start);
    }

    /// Zero memory of at least so many bytes.
    fn take(&self, bytes: usize) -> rustix::io::Result<Range> {
        let Some(class) = class_for(bytes) else {
            let bytes = bytes.checked_next_multiple_of(page_size()).unwrap_or(bytes);
            return Ok(Range { start: map(bytes)?, bytes, class: None });
        };
        let mut state = self.state();
        let found = state.slots.take(class);
        let start = match found {
            Some(start) => start,
            None => {
                let (chunk, slot) = state.slots.next_chunk(class);
                let lead = lead(class);
                let (start, bytes) = match map(chunk + lead) {
                    Ok(start) => (start, chunk),
                    // There may be limits on address space.
                    Err(_) => (map(slot + lead)?, slot),
                };
                state.chunks.push((start, bytes + lead));
                state.slots.add_chunk(class, start, bytes);
                state.slots.take(class).ok_or(Errno::NOMEM)?
            }
        };
        Ok(Range { start, bytes: CLASS_BYTES[class], class: Some(class) })
    }

    /// Takes memory back of which the first bytes, `used` of them, may not be zero.
    fn give_back(&self, range: Range, used: usize) {
        let Some(class) = range.class else {
            self.state().altered.remove(&range.start);
            // SAFETY: the mapping is all this memory's, which nobody uses any more.
            let unmapped = unsafe { munmap(address(range.start), range.bytes) };
            debug_assert!(unmapped.is_ok());
            return;
        };
        let (altered, warm) = {
            let mut state = self.state();
            let altered = !state.altered.is_empty() && state.altered.remove(&range.start);
            (altered, state.slots.wants_warm(class))
        };
        let kept = if altered || !warm { 0 } else { used.min(WARM_BYTES) };
        // SAFETY: as above; these are bytes of the slot.
        unsafe { ptr::write_bytes(address(range.start).cast::<u8>(), 0, kept) };
        let rest = used.next_multiple_of(page_size()).saturating_sub(kept);
        // What cannot be made zero is never given to anybody.
        if (!altered && discard(range.start + kept, rest)) || map_anew(range) {
            self.state().slots.put(class, range.start, kept > 0);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for &(start, bytes) in &self.state().chunks {
            // SAFETY: the chunk is the pool's, which every memory in it has kept alive.
            let unmapped = unsafe { munmap(address(start), bytes) };
            debug_assert!(unmapped.is_ok());
        }
    }
}

/// A piece of the pool's memory that has one owner.
#[derive(Debug, Clone, Copy)]
struct Range {
    start: usize,
    bytes: usize,
    /// The class of the slot; none of a mapping of its own.
    class: Option<usize>,
}

fn address(start: usize) -> *mut c_void {
    ptr::with_exposed_provenance_mut(start)
}

const ACCESS: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);

/// Address space only: it becomes memory page by page.
#[cfg(target_os = "linux")]
const FLAGS: MapFlags = MapFlags::PRIVATE.union(MapFlags::NORESERVE);
#[cfg(not(target_os = "linux"))]
const FLAGS: MapFlags = MapFlags::PRIVATE;

/// New zero memory, by its address.
fn map(bytes: usize) -> rustix::io::Result<usize> {
    // SAFETY: the system chooses where it is.
    let start = unsafe { mmap_anonymous(ptr::null_mut(), bytes, ACCESS, FLAGS) }?;
    keep_small(start, bytes);
    Ok(start.expose_provenance())
}

/// A large page would be had for the first byte that is touched.
fn keep_small(start: *mut c_void, bytes: usize) {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: this advice changes nothing of what is in memory. Whether it is taken is no matter.
        let _ = unsafe { madvise(start, bytes, Advice::LinuxNoHugepage) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes);
}

/// Gives whole pages back to the system; they are zero when they are touched again. Whether it could.
fn discard(start: usize, bytes: usize) -> bool {
    if !cfg!(target_os = "linux") {
        // Elsewhere this is advice indeed.
        return false;
    }
    #[cfg(target_os = "linux")]
    let advice = Advice::LinuxDontNeed;
    #[cfg(not(target_os = "linux"))]
    let advice = Advice::DontNeed;
    // SAFETY: the range is within a slot that nobody uses any more.
    bytes == 0 || unsafe { madvise(address(start), bytes, advice) }.is_ok()
}

/// Puts new zero memory in place of a whole slot. Whether it could.
fn map_anew(range: Range) -> bool {
    let flags = FLAGS | MapFlags::FIXED;
    // SAFETY: the slot is the pool's, and nobody uses it any more.
    let mapped = unsafe { mmap_anonymous(address(range.start), range.bytes, ACCESS, flags) };
    mapped.inspect(|start| keep_small(*start, range.bytes)).is_ok()
}

/// A linear memory, or a heap of references.
#[derive(Debug)]
struct Memory {
    pool: Arc<Pool>,
    range: Range,
    bytes: usize,
    bytes_max: usize,
}

impl Memory {
    fn contents(&self) -> &[u8] {
        // SAFETY: so much of the range is readable and this memory's alone.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.bytes) }
    }

    /// Copies to new memory of its own, which is zero, what is not. Other pages that were touched are
    /// looked at there, which makes them pages that the kernel calls touched: where now is zero the
    /// module's image, or a snapshot, may have had something else.
    fn copy_to(&self, to: &Range) {
        let contents = self.contents();
        let altered = self.pool.state().altered.contains(&self.range.start);
        // The pages of files are none that the kernel calls touched.
        let touched = if altered { None } else { changes::touched(contents) };
        let pages = touched.unwrap_or_else(|| {
            let all = 0..contents.len().div_ceil(PAGE_BYTES) as u64;
            vec![all]
        });
        for page in pages.into_iter().flatten() {
            let first = page as usize * PAGE_BYTES;
            let end = (first + PAGE_BYTES).min(contents.len());
            let page = &contents[first..end];
            let at = address(to.start + first).cast::<u8>();
            // SAFETY: the new range is another, has room for all contents, and is used by nobody
            // else yet.
            unsafe {
                if page.iter().any(|byte| *byte != 0) {
                    ptr::copy_nonoverlapping(page.as_ptr(), at, page.len());
                } else {
                    at.read_volatile();
                }
            }
        }
    }
}

// SAFETY: the range is writable memory that belongs to this value alone until it is dropped. It does
// not move unless it grows beyond its capacity.
unsafe impl LinearMemory for Memory {
    fn byte_size(&self) -> usize {
        self.bytes
    }

    fn byte_capacity(&self) -> usize {
        self.range.bytes.min(self.bytes_max)
    }

    fn grow_to(&mut self, new_size: usize) -> wasmtime::Result<()> {
        if new_size > self.bytes_max {
            return Err(wasmtime::Error::msg("more than this heap may have"));
        }
        if new_size > self.range.bytes {
            let range = self.pool.take(new_size).map_err(wasmtime::Error::new)?;
            self.copy_to(&range);
            self.pool.give_back(self.range, self.bytes);
            self.range = range;
        }
        self.bytes = new_size;
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        address(self.range.start).cast()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.pool.give_back(self.range, self.bytes);
    }
}

/// What wasmtime is given: the trait knows nothing of reference counts.
pub(super) struct Creator(pub(super) Arc<Pool>);

// SAFETY: every memory is zero when it is made, and memory of its own, as above. There are no guards,
// nor does wasmtime ask for any.
unsafe impl MemoryCreator for Creator {
    fn new_memory(
        &self,
        _: MemoryType,
        minimum: usize,
        _maximum: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        if guard != 0 {
            return Err("memories of a pool have no guards".into());
        }
        let bytes_max = match reserved {
            None | Some(0) => usize::MAX,
            Some(_) => self.0.heap_bytes_max,
        };
        if minimum > bytes_max {
            return Err("a heap is larger than it may be".into());
        }
        let range = self.0.take(minimum).map_err(|error| format!("{NO_ROOM}: {error}"))?;
        Ok(Box::new(Memory { pool: Arc::clone(&self.0), range, bytes: minimum, bytes_max }))
    }
}
