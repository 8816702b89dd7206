//! Where the linear memories of tasklets are: for a few tasklets that are fast, or for many.

#[cfg(unix)]
mod pool;
#[cfg(unix)]
mod slots;

#[cfg(unix)]
use std::sync::Arc;

use wasmtime::Config;

/// Where the linear memories of an engine's tasklets are.
///
/// What a program does, what it counts and what is in its snapshots are the same with each.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Memories {
    /// Each in a mapping of its own, of more than 4 GiB of address space. Accesses need no
    /// comparisons with its size, and it begins as a mapping of the module's data. A process can
    /// have some ten thousand tasklets at once, as the system limits its mappings
    /// (`vm.max_map_count` on Linux).
    #[default]
    Apart,
    /// Cut out of few large mappings, with room to grow: a million tasklets take no more mappings
    /// than one. Every access is compared with the memory's size, and the module's data are copied
    /// when a tasklet is made. Where the system has no such mappings (Windows), memories are apart,
    /// and no larger than they have to be.
    Dense,
}

/// The native stack that one stretch of a run is thought to need at most in [`Memories::Dense`]. The
/// room for its frames is then about 33 MiB of address space, or a million tasklets would need more
/// than there is. Cuts that far apart cost nothing yet.
const DENSE_STACK_BYTES: usize = 45 << 20;

/// How errors begin of memories that the system had no room for: of them wasmtime keeps the text
/// alone.
pub(crate) const NO_ROOM: &str = "the system has no room for a memory";

impl Memories {
    /// The native stack by which runs are cut, of what there is.
    pub(crate) fn pace_bytes(self, stack_bytes: usize) -> usize {
        match self {
            Memories::Apart => stack_bytes,
            Memories::Dense => stack_bytes.min(DENSE_STACK_BYTES),
        }
    }
}

/// The memories of an engine, as far as they are its own.
#[derive(Clone, Default)]
pub(crate) struct Place {
    #[cfg(unix)]
    pool: Option<Arc<pool::Pool>>,
}

impl Place {
    /// Sets wasmtime up for it. A heap of references has at most so many bytes.
    pub(crate) fn configure(
        memories: Memories,
        config: &mut Config,
        reference_heap_bytes: u64,
    ) -> Place {
        if memories == Memories::Apart {
            return Place::default();
        }
        // Nothing is reserved and nothing guarded: that makes all comparisons explicit.
        config
            .memory_reservation(0)
            .memory_guard_size(0)
            .memory_reservation_for_growth(0)
            .memory_may_move(true)
            .memory_init_cow(false)
            .guard_before_linear_memory(false)
            .gc_heap_guard_size(0);
        #[cfg(unix)]
        {
            let pool = Arc::new(pool::Pool::new(reference_heap_bytes));
            // This is how the pool knows heaps, which it holds to their limit itself.
            config.gc_heap_reservation(pool::HEAP_MARK).gc_heap_may_move(true);
            config.with_host_memory(Arc::new(pool::Creator(Arc::clone(&pool))));
            Place { pool: Some(pool) }
        }
        #[cfg(not(unix))]
        {
            let _ = reference_heap_bytes;
            Place {}
        }
    }

    /// Notes that a part of the memory at that address was mapped from a file, or is to be in large
    /// pages: it is mapped anew before another tasklet has it.
    pub(crate) fn note_altered(&self, address: usize) {
        #[cfg(unix)]
        if let Some(pool) = &self.pool {
            pool.note_altered(address);
        }
        #[cfg(not(unix))]
        let _ = address;
    }
}
