//! How often a run is cut, so that recursion is bounded by memory and not by the native stack.
//!
//! What is paused takes no native stack: all its frames are in the frame memory, and only the
//! innermost is resumed. So a run is *cut*, unnoticed from outside, whenever the charged steps pass
//! a multiple of [`Pace::cut_steps`]: it pauses and goes on at once. The native stack then never
//! holds more than what so many steps can build, which the instrumenter estimates
//! ([`Metadata::stack_bytes_per_step`]). A program pays nothing for it but the pauses.
//!
//! At the cuts whose count is a multiple of [`Pace::depth_steps`], and only there, the continuation
//! is compared with [`Limits::stack_bytes`](crate::Limits::stack_bytes). A cut is at the first check
//! that cannot be passed within the multiple, so where it is follows from the program alone: not
//! from how its budget is sliced, nor from the host, nor from the engine's native stack.

use tasklet_instrumenter::{Metadata, abi};

/// The native stack is this many times what the estimate asks for, because no two compilers give
/// a function the same frame: of the functions of real programs the largest have taken 2.6 times
/// the estimate, half of them less than two thirds. On s390x each frame has 160 bytes more, for its
/// callee's registers, and no estimate is below 48.
const ESTIMATE_FACTOR: u64 = if cfg!(target_arch = "s390x") { 4 } else { 3 };
/// Cuts this far apart cost nothing that could be measured.
const STEPS_MAX: u64 = 1 << 22;
/// A program that would need more cuts than this, because each of its activations takes thousands
/// of bytes, may overflow the native stack.
const STEPS_MIN: u64 = 1 << 6;
/// How far the continuation can grow between two comparisons with its limit, by the estimate.
const DEPTH_BYTES: u64 = 64 << 20;
/// The native stack with which runs need not be cut more often than their depth is compared, with
/// 1 MiB of the estimate for chains of calls outside of recursions.
pub(crate) const STACK_BYTES: usize = (ESTIMATE_FACTOR * (DEPTH_BYTES + (1 << 20))) as usize;
/// The references that can be spilled between two cuts.
const CUT_REFERENCES: u64 = 1 << 18;

/// When runs of a module are cut, and what can be written to the frame memory between two cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Steps from cut to cut; a power of two.
    pub(crate) cut_steps: u64,
    /// Steps from one comparison of the depth to the next; a multiple of `cut_steps` that does not
    /// depend on the engine's options.
    pub(crate) depth_steps: u64,
    /// Frame memory that a run can fill from cut to cut.
    pub(crate) frame_bytes: u64,
    /// References of the frame that has most.
    frame_references: u64,
}

impl Pace {
    /// The pace of a module on an engine that gives wasm so much native stack.
    pub(crate) fn new(metadata: &Metadata, stack_bytes: usize) -> Pace {
        let references = metadata.points.iter().map(|point| point.references()).max().unwrap_or(0);
        let references = u64::from(references);
        let (rate, fixed) =
            (u64::from(metadata.stack_bytes_per_step), u64::from(metadata.stack_bytes_fixed));
        // An activation takes two steps at least: its entry and its call.
        let by_references = (2 * CUT_REFERENCES).checked_div(references).unwrap_or(STEPS_MAX);
        let steps = |bytes: u64| {
            let steps = bytes.checked_div(rate).unwrap_or(STEPS_MAX).min(by_references);
            let steps = steps.clamp(STEPS_MIN, STEPS_MAX);
            1 << steps.ilog2()
        };
        let depth_steps = steps(DEPTH_BYTES);
        let usable = (stack_bytes as u64 / ESTIMATE_FACTOR).saturating_sub(fixed).min(DEPTH_BYTES);
        let cut_steps = steps(usable);
        // One page more for the arguments of an import that waits.
        let frame_bytes = rate * cut_steps + fixed + (1 << 16);
        let least = u64::from(abi::limits::FRAME_PAGES_RESERVE) << 16;
        Pace {
            cut_steps,
            depth_steps,
            frame_bytes: frame_bytes.clamp(least, 2 * DEPTH_BYTES),
            frame_references: references,
        }
    }

    /// Elements of the shadow table that a run with that fuel can fill. The table is real memory.
    pub(crate) fn references(&self, fuel: i64) -> u64 {
        if self.frame_references == 0 {
            return 0;
        }
        // Each frame has taken two steps, but for a few that were entered before or need no check.
        let frames = fuel.max(0) as u64 / 2 + abi::limits::UNCHECKED_STEPS_MAX;
        let most = CUT_REFERENCES + abi::limits::UNCHECKED_STEPS_MAX * self.frame_references;
        // Less, and the driver would grow it.
        let least = u64::from(abi::limits::REFS_RESERVE);
        frames.saturating_mul(self.frame_references).clamp(least, most)
    }

    /// The first cut from that count of charged steps on.
    pub(crate) fn first_cut(&self, charged: u64) -> u64 {
        charged.max(1).checked_next_multiple_of(self.cut_steps).unwrap_or(u64::MAX)
    }

    /// The cut behind one that was made at that count.
    ///
    /// A bulk operation may have gone past several at once. One that is exactly at the count may
    /// come twice: it then falls on the same check, with the same frames.
    pub(crate) fn next_cut(&self, cut: u64, charged: u64) -> u64 {
        if charged > cut { self.first_cut(charged) } else { cut.saturating_add(self.cut_steps) }
    }

    /// Whether the depth is compared at a cut that was made at that count.
    pub(crate) fn compares_depth(&self, cut: u64, charged: u64) -> bool {
        let reached = charged.max(cut);
        reached - reached % self.depth_steps >= cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(per_step: u32, stack_bytes: usize) -> Pace {
        let mut metadata = crate::tests::metadata(b"");
        metadata.points.clear();
        metadata.stack_bytes_per_step = per_step;
        Pace::new(&metadata, stack_bytes)
    }

    #[test]
    fn cuts_follow_from_the_native_stack_and_depth_does_not() {
        let small = pace(10, 1 << 20);
        assert_eq!((small.cut_steps, small.depth_steps), (1 << 15, 1 << 22));
        let large = pace(10, STACK_BYTES);
        assert_eq!((large.cut_steps, large.depth_steps), (1 << 22, 1 << 22));
        let dear = pace(5000, 1 << 20);
        assert_eq!((dear.cut_steps, dear.depth_steps), (1 << 6, 1 << 13));
        assert_eq!(pace(0, 1 << 16).cut_steps, 1 << 22);
        assert_eq!(pace(u32::MAX, 1 << 30).cut_steps, 1 << 6);
    }

    #[test]
    fn every_multiple_is_cut_once() {
        let pace = pace(10, 1 << 20);
        let step = pace.cut_steps;
        assert_eq!(pace.first_cut(0), step);
        assert_eq!(pace.first_cut(step), step);
        assert_eq!(pace.next_cut(step, step - 3), 2 * step);
        assert_eq!(pace.next_cut(step, step), 2 * step);
        assert_eq!(pace.next_cut(step, 5 * step + 1), 6 * step);
        let depth = pace.depth_steps;
        assert!(!pace.compares_depth(depth - step, depth - 1));
        assert!(pace.compares_depth(depth, depth - 1));
        assert!(pace.compares_depth(depth - step, depth + 1));
        assert!(!pace.compares_depth(depth + step, depth + step + 1));
    }
}
