//! Which pages are put where a tasklet and its forks share them. Nothing here touches memory.

use std::ops::Range;

use crate::changes::{Pages, union};
use crate::snapshot::PAGE_BYTES;

/// Stretches that hold fewer are copied for each fork. From here on to share them costs no more
/// than to copy them once, and a process can have only so many mappings.
const STRETCH_PAGES_MIN: u64 = (128 << 10) / PAGE_BYTES as u64;

/// Stretches no further apart are one: a mapping costs as much as some pages that need none.
const GAP_PAGES: u64 = 16;

/// The widest gap that is closed to keep the stretches few. In a gap there is nothing to copy, but
/// to write there takes a page twice.
const GAP_PAGES_MAX: u64 = 1024;

/// With more pieces of a memory than this all of it is shared anew, in no more than a quarter as
/// many. So many mappings a fork has for each memory.
const PIECES_MAX: usize = 64;

/// What is known of the pages of a memory that is forked.
pub(super) struct Known<'p> {
    /// Those that can differ from what is shared, or from the module's image where nothing is.
    pub(super) dirty: &'p Pages,
    /// Those that are shared.
    pub(super) shared: &'p Pages,
    /// Pages that forks have copied since all was shared.
    pub(super) copied: u64,
    /// Pages of a snapshot that are one page of the system.
    pub(super) unit: u64,
}

/// What is to be shared now.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// Stretches of whole pages of the system.
    pub(super) stretches: Pages,
    /// Whether they are all there is, and not just what has changed.
    pub(super) is_all: bool,
}

/// Chooses: long stretches that have changed are shared at once. Single pages are copied for each
/// fork, until as many have been copied as it takes to share all anew: whatever happens next, no
/// more is copied than twice as much as had to be.
pub(super) fn plan(known: &Known<'_>) -> Plan {
    let changed = stretches(known.dirty, GAP_PAGES, known.unit);
    let changed: Pages = changed.into_iter().map(|stretch| stretch.pages).collect();
    let pieces = without(known.shared, &changed).len() + changed.len();
    let all = union(known.dirty.clone(), known.shared.iter().cloned());
    let paid = count(&all).max(STRETCH_PAGES_MIN);
    if known.copied < paid && pieces <= PIECES_MAX {
        return Plan { stretches: changed, is_all: false };
    }
    let mut gap = GAP_PAGES;
    let mut found = stretches(&all, gap, known.unit);
    let is_enough = |found: &[Stretch]| {
        let held: u64 = found.iter().map(|stretch| stretch.held).sum();
        found.len() <= PIECES_MAX / 4 && 2 * held >= count(&all)
    };
    while !is_enough(&found) && gap < GAP_PAGES_MAX {
        gap *= 4;
        found = stretches(&all, gap, known.unit);
    }
    // Those that hold most, if they are still too many.
    found.sort_by_key(|stretch| std::cmp::Reverse(stretch.held));
    found.truncate(PIECES_MAX / 4);
    let mut stretches: Pages = found.into_iter().map(|stretch| stretch.pages).collect();
    stretches.sort_by_key(|stretch| stretch.start);
    Plan { stretches, is_all: true }
}

/// Pages that are shared as one.
struct Stretch {
    pages: Range<u64>,
    /// How many of them are not just in a gap.
    held: u64,
}

/// Whole units that cover the ranges, those one that are no further apart than `gap`; only such that
/// hold enough.
fn stretches(pages: &Pages, gap: u64, unit: u64) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = Vec::new();
    for range in pages {
        let (start, end) = (range.start / unit * unit, range.end.next_multiple_of(unit));
        let held = range.end - range.start;
        match all.last_mut() {
            Some(last) if start <= last.pages.end + gap => {
                last.pages.end = last.pages.end.max(end);
                last.held += held;
            }
            _ => all.push(Stretch { pages: start..end, held }),
        }
    }
    all.retain(|stretch| stretch.held >= STRETCH_PAGES_MIN);
    all
}

/// How many pages.
pub(super) fn count(pages: &[Range<u64>]) -> u64 {
    pages.iter().map(|range| range.end - range.start).sum()
}

/// The pages of the one that are not in the other; both are ascending and apart.
pub(super) fn without(pages: &[Range<u64>], cut: &[Range<u64>]) -> Pages {
    let (mut left, mut cut) = (Vec::new(), cut.iter().peekable());
    for range in pages {
        let mut start = range.start;
        while let Some(next) = cut.peek().filter(|next| next.start < range.end) {
            if start < next.start {
                left.push(start..next.start);
            }
            start = start.max(next.end);
            if next.end > range.end {
                break;
            }
            cut.next();
        }
        if start < range.end {
            left.push(start..range.end);
        }
    }
    left
}

/// The pages that are in both.
pub(super) fn within(pages: &[Range<u64>], other: &[Range<u64>]) -> Pages {
    without(pages, &without(pages, other))
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "one range of pages is meant")]
mod tests {
    use super::*;

    /// Two lists of ranges, chosen by a number.
    fn lists(mut seed: u64) -> [Pages; 2] {
        [(); 2].map(|()| {
            let ranges = (0..6).map(|_| {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let start = seed >> 58;
                start..start + (seed >> 40) % 7
            });
            union(Vec::new(), ranges.collect::<Vec<_>>().into_iter())
        })
    }

    fn has(pages: &Pages, page: u64) -> bool {
        pages.iter().any(|range| range.contains(&page))
    }

    #[test]
    fn ranges_are_sets_of_pages() {
        for seed in 0..2000 {
            let [one, other] = lists(seed);
            let (left, both) = (without(&one, &other), within(&one, &other));
            for page in 0..80 {
                assert_eq!(has(&left, page), has(&one, page) && !has(&other, page), "{seed}");
                assert_eq!(has(&both, page), has(&one, page) && has(&other, page), "{seed}");
            }
            assert_eq!(count(&left) + count(&both), count(&one));
        }
    }

    fn of(dirty: &[Range<u64>], shared: &[Range<u64>], copied: u64) -> Plan {
        let (dirty, shared) = (dirty.to_vec(), shared.to_vec());
        plan(&Known { dirty: &dirty, shared: &shared, copied, unit: 1 })
    }

    #[test]
    fn what_is_long_is_shared_at_once() {
        let small = [0..8, 100..110];
        assert_eq!(of(&small, &[], 0), Plan::default());
        let long = [0..8, 20..1000, 1017..1018];
        assert_eq!(of(&long, &[], 0).stretches, vec![0..1000]);
        // Of what is shared only what has changed, if that is long.
        assert_eq!(
            of(&[5..6, 2000..2100], &[0..9000], 7),
            Plan { stretches: vec![2000..2100], is_all: false }
        );
    }

    #[test]
    fn what_was_copied_as_often_is_shared() {
        let single: Vec<Range<u64>> = (0..100).map(|at| at * 50..at * 50 + 1).collect();
        assert_eq!(of(&single, &[0..9000], 8999), Plan::default());
        assert_eq!(of(&single, &[0..9000], 9000), Plan { stretches: vec![0..9000], is_all: true });
        // Where they are far apart, too.
        assert_eq!(of(&single, &[], 99), Plan::default());
        assert_eq!(of(&single, &[], 100).stretches, vec![0..4951]);
    }

    #[test]
    fn pieces_stay_few() {
        let apart: Vec<Range<u64>> = (0..100).map(|at| at * 500..at * 500 + 100).collect();
        let plan = of(&apart, &[], 0);
        assert!(plan.is_all && plan.stretches.len() <= 16, "{plan:?}");
        let far: Vec<Range<u64>> = (0..100).map(|at| at * 5000..at * 5000 + 100).collect();
        assert_eq!(of(&far, &[], 0).stretches.len(), 16);
    }

    #[test]
    fn pages_of_the_system_stay_whole() {
        let dirty = vec![3..70];
        let known = Known { dirty: &dirty, shared: &Pages::new(), copied: 0, unit: 16 };
        assert_eq!(plan(&known).stretches, vec![0..80]);
    }
}
