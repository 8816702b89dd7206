//! Which pages of a memory can have changed, by what the kernel knows of them.
//!
//! What is found here only says where to look: every page of it is compared, and what a snapshot
//! holds is the same where the kernel can tell nothing. It makes the cost follow what was touched,
//! and with a base what was written to since, instead of the size of the memory.
//!
//! - A page that was never touched is not there yet, or still the file's that it was mapped from:
//!   the module's image, or a snapshot. `PAGEMAP_SCAN` (Linux 6.7) tells, and `/proc/self/pagemap`
//!   page by page.
//! - A page that was written to since some moment is told by `PAGEMAP_SCAN` where the memory is
//!   registered with a `userfaultfd` for asynchronous write protection (Linux 6.7). The first write
//!   to a page then costs a fault, so it is done when asked for.

#[cfg(target_os = "linux")]
mod linux;

use std::ops::Range;

use crate::snapshot::{Digest, MemoryState, PAGE_BYTES};

/// Ranges of pages, ascending and apart.
pub(crate) type Pages = Vec<Range<u64>>;

/// What is known of a tasklet's memories beside their contents.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// For each memory the pages that were mapped: from a snapshot's file, or from what forks share.
    mapped: Vec<Pages>,
    /// The snapshot whose contents the memories had when it was loaded.
    loaded: Option<Digest>,
    /// The write protection, and the snapshot since which it tells what was written to.
    tracking: Option<(Tracking, Digest)>,
}

#[cfg(target_os = "linux")]
use linux::Tracking;

/// Elsewhere nothing is tracked.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
enum Tracking {}

impl Changes {
    /// Those of a tasklet that was just loaded, with what was mapped of each memory.
    pub(crate) fn of_loaded(digest: Option<Digest>, mapped: Vec<Pages>) -> Changes {
        Changes { mapped, loaded: digest, tracking: None }
    }

    /// The pages of a memory that can differ from the module's image, or from the base if there is
    /// one. `None` if nothing is known: then any can.
    pub(crate) fn candidates(
        &self,
        position: usize,
        memory: &[u8],
        base: Option<(&MemoryState<'_>, Digest)>,
    ) -> Option<Pages> {
        if let (Some((tracking, since)), Some((_, digest))) = (&self.tracking, base)
            && *since == digest
        {
            return written(tracking, memory);
        }
        let touched = touched(memory)?;
        if base.is_some_and(|(_, digest)| Some(digest) == self.loaded) {
            return Some(touched);
        }
        let mapped = self.mapped(position);
        let below = base.map_or(&[][..], |(base, _)| &base.runs);
        let below = below.iter().map(|run| run.first..run.first + run.count);
        Some(union(touched, mapped.iter().cloned().chain(below)))
    }

    /// The pages of a memory that were mapped from somewhere.
    pub(crate) fn mapped(&self, position: usize) -> &[Range<u64>] {
        self.mapped.get(position).map_or(&[], |mapped| mapped)
    }

    /// Notes that pages of a memory are mapped from elsewhere now, with what they held. Of what was
    /// written to them nothing is known any more.
    pub(crate) fn note_remapped(&mut self, position: usize, pages: &Pages) {
        if self.mapped.len() <= position {
            self.mapped.resize_with(position + 1, Pages::new);
        }
        let before = std::mem::take(&mut self.mapped[position]);
        self.mapped[position] = union(before, pages.iter().cloned());
        self.loaded = None;
        self.tracking = None;
    }

    /// Begins to note what is written to from now on; the memories are those of the snapshot. Where
    /// the kernel does not have it, nothing is noted.
    pub(crate) fn track<'m>(
        &mut self,
        digest: Digest,
        mut memories: impl Iterator<Item = &'m [u8]>,
    ) {
        let tracking = self.tracking.take().map(|(tracking, _)| tracking).or_else(start);
        self.tracking =
            tracking.filter(|it| memories.all(|memory| protect(it, memory))).map(|it| (it, digest));
    }

    /// Whether what is written to is noted.
    pub(crate) fn is_tracking(&self) -> bool {
        self.tracking.is_some()
    }
}

/// All the pages of both.
pub(crate) fn union(mut one: Pages, other: impl Iterator<Item = Range<u64>>) -> Pages {
    one.extend(other.filter(|range| !range.is_empty()));
    one.sort_by_key(|range| range.start);
    let mut all: Pages = Vec::with_capacity(one.len());
    for range in one {
        match all.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => all.push(range),
        }
    }
    all
}

/// Gets memory ready that is about to be written to as a whole. Whether its mapping is another now.
pub(crate) fn prepare(memory: &[u8]) -> bool {
    #[cfg(target_os = "linux")]
    let altered = linux::prepare(memory);
    #[cfg(not(target_os = "linux"))]
    let altered = {
        let _ = memory;
        false
    };
    altered
}

/// From byte addresses to pages of a memory, made whole, and within it.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there are no addresses"))]
fn pages_of(memory: &[u8], regions: impl Iterator<Item = Range<u64>>) -> Pages {
    let (start, page) = (memory.as_ptr().addr() as u64, PAGE_BYTES as u64);
    let count = memory.len() as u64 / page;
    let pages = regions.map(|region| {
        let first = region.start.saturating_sub(start) / page;
        first..region.end.saturating_sub(start).div_ceil(page).min(count)
    });
    union(Vec::new(), pages)
}

#[cfg(target_os = "linux")]
use linux::{protect, start, written};

/// The pages of a memory that are neither as they have never been touched nor as a file has them;
/// nothing where that is not known.
#[cfg(target_os = "linux")]
pub(crate) use linux::touched;

#[cfg(not(target_os = "linux"))]
pub(crate) fn touched(_: &[u8]) -> Option<Pages> {
    None
}

#[cfg(not(target_os = "linux"))]
fn start() -> Option<Tracking> {
    None
}

#[cfg(not(target_os = "linux"))]
fn protect(tracking: &Tracking, _: &[u8]) -> bool {
    match *tracking {}
}

#[cfg(not(target_os = "linux"))]
fn written(tracking: &Tracking, _: &[u8]) -> Option<Pages> {
    match *tracking {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_united() {
        let united = union(vec![5..7, 0..2], vec![2..3, 9..9, 6..10, 20..21].into_iter());
        assert_eq!(united, [0..3, 5..10, 20..21]);
        assert_eq!(union(vec![], std::iter::empty()), [0..0; 0]);
    }

    #[test]
    fn addresses_are_pages() {
        let memory = vec![0u8; 4 * PAGE_BYTES];
        let at = |byte: u64| memory.as_ptr().addr() as u64 + byte;
        let regions = [at(0)..at(1), at(8192)..at(8193), at(16000)..at(99999)];
        assert_eq!(pages_of(&memory, regions.into_iter()), [0..1, 2..4]);
    }
}
