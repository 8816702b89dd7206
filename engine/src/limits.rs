//! What a tasklet may take of its host.

use wasmtime::ResourceLimiter;

/// The limits of one tasklet.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest size of each memory in bytes; growing past it gives the guest -1. Default 4 GiB.
    pub memory_bytes: u64,
    /// Most elements of each table; growing past it gives the guest -1. Default 16,777,216.
    pub table_elements: u64,
    /// How deep calls may be nested, in bytes of their frames: 16 and the values that are live
    /// across the call, 64 for a reference. A guest that goes deeper ends with a trap, at a place
    /// that follows from the program alone: where it is compared, every 2^22 steps or before 64 MiB
    /// more could have been reached. Default 256 MiB, which is some million calls of usual
    /// functions; maximum 640 MiB.
    pub stack_bytes: u64,
    /// Most steps all callbacks of one host import may take together before they trap. Default
    /// and maximum 2^30.
    pub callback_steps: u32,
}

/// No fuel may fall below [`DEBT_FLOOR`](tasklet_instrumenter::abi::DEBT_FLOOR), which is what a
/// program without fuel is left with when a callback has used all of it.
pub(crate) const CALLBACK_STEPS_MAX: u32 = 1 << 30;

/// The largest [`Limits::stack_bytes`]; a larger one counts as this.
///
/// The frame memory is 1 GiB. Beyond this it has to hold the 64 MiB by which the depth can be
/// exceeded before that is noticed, and twice what can be spilled in one go, at most 128 MiB.
pub const STACK_BYTES_MAX: u64 = 640 << 20;

/// Most tags of a module. Each exception in a snapshot is compared with them one by one, since
/// wasmtime gives tags no number.
pub(crate) const TAGS_MAX: usize = 1000;

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory_bytes: 4 << 30,
            table_elements: 1 << 24,
            stack_bytes: 256 << 20,
            callback_steps: CALLBACK_STEPS_MAX,
        }
    }
}

/// Bytes of the state of a restartable import, as CBOR.
pub(crate) const IMPORT_STATE_BYTES_MAX: usize = 1 << 20;

/// The limits as wasmtime asks for them.
///
/// A growth that a limit refuses is the guest's to handle (-1) and the same on every host. So is
/// one that the host cannot satisfy, but for a deterministic guest: that ends its run with an
/// error, because equal runs must not go on differently.
#[derive(Debug)]
pub(crate) struct Limiter {
    pub(crate) limits: Limits,
    /// Whether what grows is the engine's: the frame memory and the shadow table, which have
    /// limits of their own. wasmtime does not say which memory it asks about.
    pub(crate) own: bool,
    /// Whether what the host cannot give is refused to the guest as what it may not have: to one
    /// that is deterministic it is not.
    pub(crate) refuses: bool,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let within_type = maximum.is_none_or(|maximum| desired <= maximum);
        Ok(within_type && (self.own || desired as u64 <= self.limits.memory_bytes))
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // NB: wasmtime reports growth past the index type here without having asked
        // `memory_growing`, and tells the two cases apart by this text only.
        let by_type = error.to_string().contains("memory type's limits");
        if by_type || (self.refuses && !self.own) { Ok(()) } else { Err(error) }
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let within_type = maximum.is_none_or(|maximum| desired <= maximum);
        Ok(within_type && (self.own || desired as u64 <= self.limits.table_elements))
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        let by_type = error.to_string().contains("overflow");
        if by_type || (self.refuses && !self.own) { Ok(()) } else { Err(error) }
    }
}
