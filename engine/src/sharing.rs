//! Pages that a tasklet shares with its forks, copied when one of them writes there.
//!
//! What has changed since the last fork, if it is much, is written once to memory without an owner;
//! the tasklet and its fork have it mapped privately from there. What was so shared before is only
//! mapped again. The rest is copied: few pages, and everything where the system does not map, tells
//! nothing of pages, or has no room.
//!
//! - A page that is mapped from there and was not written to since is, to the kernel, a file's: it is
//!   not among those that were touched ([`crate::changes`]). So what has changed since is known
//!   without a note, or a look at it.
//! - A memory that has moved since is no longer mapped from anywhere; all its pages were touched
//!   where it is now.

#[cfg_attr(not(target_os = "linux"), path = "sharing/nowhere.rs")]
mod arena;
mod plan;

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use self::arena::Region;
use self::plan::{Known, Plan, count, plan, within, without};
use crate::changes::{self, Changes, Pages, union};
use crate::memories::Place;
use crate::module::MemoryImage;
use crate::snapshot::{PAGE_BYTES, PageData, PageRun, diff_pages_within, is_zero};

/// What a tasklet shares, memory by memory.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    memories: Vec<SharedMemory>,
    mappings: Mappings,
}

/// What is shared of one memory.
#[derive(Debug, Default)]
pub(crate) struct SharedMemory {
    /// Ascending and apart.
    pieces: Vec<Piece>,
    /// Pages that forks have copied since all of it was shared.
    copied: u64,
}

/// Pages that are mapped from a region, from an offset on.
#[derive(Debug, Clone)]
struct Piece {
    pages: Range<u64>,
    region: Arc<Region>,
    at: u64,
}

/// What a fork gets of a memory, beside what it begins with.
pub(crate) struct Inherited<'m> {
    /// All of it.
    memory: &'m [u8],
    /// What is mapped.
    pieces: &'m [Piece],
    /// What is copied over that.
    pub(crate) runs: Vec<PageRun<'m>>,
}

/// Bytes that are written before they are mapped: so many are there twice meanwhile.
const STEP_PAGES: u64 = (16 << 20) / PAGE_BYTES as u64;

impl Sharing {
    /// Shares what of a memory is worth it. Returns the pages that a fork has to copy; `None` if any
    /// page can have changed.
    pub(crate) fn share(
        &mut self,
        (position, memory): (usize, &mut [u8]),
        image: &MemoryImage,
        changes: &mut Changes,
        place: &Place,
    ) -> Option<Pages> {
        if self.memories.len() <= position {
            self.memories.resize_with(position + 1, SharedMemory::default);
        }
        let shared = &mut self.memories[position];
        let touched = changes::touched(memory)?;
        let before = shared.pages();
        let mapped = without(changes.mapped(position), &before);
        let dirty = union(touched, mapped.into_iter());
        let unit = unit();
        let known = Known { dirty: &dirty, shared: &before, copied: shared.copied, unit };
        let Plan { stretches, is_all } = plan(&known);
        let mut now = Pages::new();
        if !stretches.is_empty() && has_room(2 * stretches.len()) {
            // What is in none of these is zero, as it has been from the beginning.
            let look = union(dirty.clone(), before.into_iter().chain(image.pages()));
            now = shared.freeze(memory, &stretches, &look);
        }
        if !now.is_empty() {
            place.note_altered(memory.as_ptr().addr());
            changes.note_remapped(position, &now);
            shared.copied = if is_all { 0 } else { shared.copied };
        }
        let copied = without(&dirty, &now);
        shared.copied += count(&copied);
        self.mappings.set(self.memories.iter().map(|memory| memory.pieces.len()).sum());
        Some(copied)
    }

    /// What a fork gets of that memory, by the answer of [`share`](Sharing::share).
    pub(crate) fn inherited<'m>(
        &'m self,
        (position, memory): (usize, &'m [u8]),
        image: &MemoryImage,
        copied: Option<Pages>,
    ) -> Inherited<'m> {
        let pieces = self.memories.get(position).map_or(&[][..], |shared| &shared.pieces);
        let known = copied.is_some();
        let all = 0..(memory.len() / PAGE_BYTES) as u64;
        let mut copied = copied.unwrap_or_else(|| vec![all]);
        let mapped: Pages = pieces.iter().map(|piece| piece.pages.clone()).collect();
        let is_mapped = known && !pieces.is_empty() && has_room(pieces.len());
        if !is_mapped {
            copied = union(copied, mapped.into_iter());
            let runs = diff_pages_within(memory, |page| image.page(page), copied);
            return Inherited { memory, pieces: &[], runs };
        }
        // Below these is not the module's image.
        let over = within(&copied, &mapped);
        let beside = without(&copied, &mapped);
        let mut runs = diff_pages_within(memory, |page| image.page(page), beside);
        runs.extend(over.into_iter().map(|pages| PageRun {
            first: pages.start,
            count: pages.end - pages.start,
            data: PageData::Bytes(memory[bytes_of(&pages)].into()),
        }));
        Inherited { memory, pieces, runs }
    }

    /// That of a fork, whose memories have got what they inherit.
    pub(crate) fn of_fork(memories: Vec<SharedMemory>) -> Sharing {
        let mut sharing = Sharing { memories, mappings: Mappings::default() };
        let pieces = sharing.memories.iter().map(|memory| memory.pieces.len());
        sharing.mappings.set(pieces.sum());
        sharing
    }
}

impl Inherited<'_> {
    /// Maps what is shared into the fork's memory, which is as large and holds the module's image.
    pub(crate) fn map(&self, memory: &mut [u8], place: &Place) -> SharedMemory {
        let mut shared = SharedMemory::default();
        for piece in self.pieces {
            let to = &mut memory[bytes_of(&piece.pages)];
            if piece.put(to) {
                shared.pieces.push(piece.clone());
            } else {
                to.copy_from_slice(&self.memory[bytes_of(&piece.pages)]);
            }
        }
        if !shared.pieces.is_empty() {
            place.note_altered(memory.as_ptr().addr());
        }
        shared
    }
}

impl SharedMemory {
    /// The pages that are shared.
    pub(crate) fn pages(&self) -> Pages {
        union(Pages::new(), self.pieces.iter().map(|piece| piece.pages.clone()))
    }

    /// Writes pages to a new region and maps them from there, as many as it can. Only at those of
    /// `look` can there be anything but zeros. Returns what was mapped.
    fn freeze(&mut self, memory: &mut [u8], stretches: &Pages, look: &Pages) -> Pages {
        let mut done = Pages::new();
        let Some(region) = Region::new(count(stretches) * PAGE_BYTES as u64) else { return done };
        let (region, mut at) = (Arc::new(region), 0);
        for stretch in stretches {
            for start in stretch.clone().step_by(STEP_PAGES as usize) {
                let pages = start..stretch.end.min(start + STEP_PAGES);
                let piece = Piece { pages: pages.clone(), region: region.clone(), at };
                if !piece.replace(memory, look) {
                    return done;
                }
                at += (pages.end - pages.start) * PAGE_BYTES as u64;
                self.add(piece);
                done = union(done, std::iter::once(pages));
            }
        }
        done
    }

    /// Adds a piece that was mapped over what was there.
    fn add(&mut self, new: Piece) {
        let mut pieces = Vec::with_capacity(self.pieces.len() + 2);
        for piece in self.pieces.drain(..) {
            for pages in
                without(std::slice::from_ref(&piece.pages), std::slice::from_ref(&new.pages))
            {
                let at = piece.at + (pages.start - piece.pages.start) * PAGE_BYTES as u64;
                pieces.push(Piece { pages, region: piece.region.clone(), at });
            }
        }
        pieces.push(new);
        pieces.sort_by_key(|piece| piece.pages.start);
        pieces.dedup_by(|next, last| {
            let ends_at = last.at + (last.pages.end - last.pages.start) * PAGE_BYTES as u64;
            let follows = Arc::ptr_eq(&last.region, &next.region)
                && (last.pages.end, ends_at) == (next.pages.start, next.at);
            if follows {
                last.pages.end = next.pages.end;
            }
            follows
        });
        self.pieces = pieces;
    }
}

impl Piece {
    fn put(&self, to: &mut [u8]) -> bool {
        self.region.put(self.at, to)
    }

    /// Writes its pages of a memory to the region and maps them from there. Whether it was done; if
    /// not, the memory holds what it held.
    fn replace(&self, memory: &mut [u8], look: &Pages) -> bool {
        let offset = |page| self.at + (page - self.pages.start) * PAGE_BYTES as u64;
        for pages in within(look, std::slice::from_ref(&self.pages)) {
            let runs = pages.clone().map(|page| !is_zero(&memory[bytes_of(&(page..page + 1))]));
            let runs: Vec<bool> = runs.collect();
            let mut first = pages.start;
            for run in runs.chunk_by(|one, next| one == next) {
                let end = first + run.len() as u64;
                let written = !run[0]
                    || self.region.write(offset(first), &memory[bytes_of(&(first..end))]).is_ok();
                if !written {
                    return false;
                }
                first = end;
            }
        }
        let to = &mut memory[bytes_of(&self.pages)];
        let mapped = self.region.put(self.at, to);
        // What was there may be lost. That it cannot be read leaves a tasklet without its memory.
        if !mapped && self.region.read(self.at, to).is_err() {
            std::process::abort();
        }
        mapped
    }
}

/// Mappings that a tasklet counts for.
#[derive(Debug, Default)]
struct Mappings(usize);

/// How many all tasklets of the process have for what they share.
static MAPPINGS: AtomicUsize = AtomicUsize::new(0);

impl Mappings {
    fn set(&mut self, count: usize) {
        MAPPINGS.fetch_add(count, Ordering::Relaxed);
        MAPPINGS.fetch_sub(std::mem::replace(&mut self.0, count), Ordering::Relaxed);
    }
}

impl Drop for Mappings {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Whether the process may have so many mappings more. Each can split another, so all of these
/// together are at most half of what the system allows; the other half is for the memories
/// themselves.
fn has_room(mappings: usize) -> bool {
    static MAX: OnceLock<usize> = OnceLock::new();
    const LINUX_DEFAULT: usize = 65_530;
    let max = *MAX.get_or_init(|| {
        let told = std::fs::read_to_string("/proc/sys/vm/max_map_count");
        told.ok().and_then(|told| told.trim().parse().ok()).unwrap_or(LINUX_DEFAULT) / 4
    });
    MAPPINGS.load(Ordering::Relaxed).saturating_add(mappings) <= max
}

/// Pages of a snapshot that are one page of the system.
fn unit() -> u64 {
    #[cfg(unix)]
    let page = rustix::param::page_size();
    #[cfg(not(unix))]
    let page = PAGE_BYTES;
    page.div_ceil(PAGE_BYTES) as u64
}

fn bytes_of(pages: &Range<u64>) -> Range<usize> {
    pages.start as usize * PAGE_BYTES..pages.end as usize * PAGE_BYTES
}
