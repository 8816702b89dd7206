//! Where a function pays for its steps.
//!
//! Every path through a function must pay exactly what its instructions cost, with as few
//! payments as possible. Let `ahead(b)` be what has been paid on entry to block `b` for code from
//! there on; it must not depend on the path taken to `b`. All successors of a block therefore
//! share one value, and so do blocks that share a predecessor: they form a *class*. The largest
//! amount a class can be given in advance is the cost of the cheapest path from it to a place
//! where nothing is paid in advance (a return, a loop header, which pays for itself when it is
//! checked): a shortest path over the classes. A block then pays
//! `cost + ahead(successors) - ahead(block)` on entry, which is zero for straight lines, for the
//! blocks control-equivalent to one that has paid, and for the cheapest of several successors.
//!
//! NB: merging the charges of blocks that dominate and post-dominate one another is subtly wrong
//! where a `continue` leads back to the loop header in between; here such a path has a header on
//! it and ends the shortest path with zero.
//!
//! A path that ends in a trap need not come out even, so it does not count for the shortest path;
//! blocks on it may pay a negative amount back, to stay exact at the calls in between.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::graph::{End, Graph};

/// The payments of a function.
#[derive(Debug)]
pub(crate) struct Charges {
    /// What each block pays on entry.
    pub charge: Vec<i64>,
    /// What has been paid in advance on entry to each block.
    pub ahead: Vec<u64>,
}

const UNKNOWN: u64 = u64::MAX;

/// Computes the payments. `is_header` tells the blocks that are checked loop headers, `catches`
/// whether any function of the module catches exceptions. Where one does, nothing is paid in advance
/// across a call: the callee's exception may leave the function there, and whoever catches it
/// cannot know what to pay back.
pub(crate) fn charges(
    graph: &Graph,
    order: &[u32],
    successors: &[Vec<u32>],
    catches: bool,
    is_header: impl Fn(u32) -> bool,
) -> Charges {
    let count = graph.blocks.len();
    let mut classes = Classes::new(count);
    for &block in order {
        for pair in successors[block as usize].windows(2) {
            classes.join(pair[0], pair[1]);
        }
    }
    // Blocks by the class of their successors.
    let mut before: Vec<Vec<u32>> = vec![Vec::new(); count];
    for &block in order {
        if let Some(&first) = successors[block as usize].first() {
            before[classes.of(first) as usize].push(block);
        }
    }
    let mut ahead = vec![UNKNOWN; count];
    let mut queue = BinaryHeap::new();
    for &block in order {
        let class = classes.of(block);
        if block == 0 || is_header(block) {
            queue.push(Reverse((0, class)));
        } else if ends_there(&graph.blocks[block as usize].end) {
            queue.push(Reverse((graph.blocks[block as usize].cost, class)));
        }
        let escapes = match graph.blocks[block as usize].end {
            End::Call { .. } => catches,
            End::Throw { .. } => true,
            _ => false,
        };
        if let (true, Some(first)) = (escapes, successors[block as usize].first()) {
            queue.push(Reverse((0, classes.of(*first))));
        }
    }
    while let Some(Reverse((distance, class))) = queue.pop() {
        if ahead[class as usize] != UNKNOWN {
            continue;
        }
        ahead[class as usize] = distance;
        for &block in &before[class as usize] {
            let through = distance + graph.blocks[block as usize].cost;
            queue.push(Reverse((through, classes.of(block))));
        }
    }
    let mut charges = Charges { charge: vec![0; count], ahead: vec![0; count] };
    let known = |distance: u64| if distance == UNKNOWN { 0 } else { distance };
    for &block in order {
        let own = known(ahead[classes.of(block) as usize]);
        let behind = successors[block as usize]
            .first()
            .map_or(0, |first| known(ahead[classes.of(*first) as usize]));
        let cost = graph.blocks[block as usize].cost;
        charges.ahead[block as usize] = own;
        charges.charge[block as usize] = (cost + behind) as i64 - own as i64;
    }
    charges
}

/// Whether the function is or may be left behind the block, so that its account must be even.
fn ends_there(end: &End) -> bool {
    matches!(end, End::Return | End::TailCall(_) | End::Throw { .. })
}

/// Union-find.
struct Classes(Vec<u32>);

impl Classes {
    fn new(count: usize) -> Classes {
        Classes((0..count as u32).collect())
    }

    fn of(&mut self, mut block: u32) -> u32 {
        while self.0[block as usize] != block {
            let parent = self.0[block as usize];
            self.0[block as usize] = self.0[parent as usize];
            block = self.0[block as usize];
        }
        block
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.of(a), self.of(b));
        // The smaller number stays, so that the result does not depend on the order of joining.
        self.0[a.max(b) as usize] = a.min(b);
    }
}
