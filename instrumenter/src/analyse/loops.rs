//! The loop nest of a graph.

use super::order::NONE;
use crate::graph::Graph;

/// A loop.
#[derive(Debug)]
pub(crate) struct Loop {
    /// Its header block.
    pub header: u32,
    /// The loop around it, or [`NONE`].
    pub parent: u32,
}

/// The loops of a graph, every loop behind the one around it.
#[derive(Debug, Default)]
pub(crate) struct Loops {
    /// The loops.
    pub loops: Vec<Loop>,
    /// The innermost loop each block is in, or [`NONE`].
    pub innermost: Vec<u32>,
}

/// Finds the loops. Code from wasm is reducible and every back edge goes to the block of a `loop`
/// instruction; such a block without a back edge is no loop.
pub(crate) fn loops(
    graph: &Graph,
    order: &[u32],
    position: &[u32],
    predecessors: &[Vec<u32>],
) -> Loops {
    let mut found = Loops { loops: Vec::new(), innermost: vec![NONE; graph.blocks.len()] };
    let mut work = Vec::new();
    // In this order outer headers come before inner ones, whose bodies then overwrite theirs.
    for &header in order {
        if graph.blocks[header as usize].header.is_none() {
            continue;
        }
        let back = predecessors[header as usize]
            .iter()
            .filter(|block| position[**block as usize] >= position[header as usize]);
        work.extend(back.copied());
        if work.is_empty() {
            continue;
        }
        let this = found.loops.len() as u32;
        let parent = found.innermost[header as usize];
        found.loops.push(Loop { header, parent });
        found.innermost[header as usize] = this;
        while let Some(block) = work.pop() {
            if found.innermost[block as usize] != this {
                found.innermost[block as usize] = this;
                work.extend_from_slice(&predecessors[block as usize]);
            }
        }
    }
    found
}

impl Loops {
    /// The loop with that header block.
    pub fn headed_by(&self, block: u32) -> Option<u32> {
        let innermost = self.innermost[block as usize];
        (innermost != NONE && self.loops[innermost as usize].header == block).then_some(innermost)
    }

    /// The loops around a block, outermost first (its own, if it is a header, last).
    pub fn around(&self, block: u32) -> Vec<u32> {
        let mut chain = Vec::new();
        let mut at = self.innermost[block as usize];
        while at != NONE {
            chain.push(at);
            at = self.loops[at as usize].parent;
        }
        chain.reverse();
        chain
    }
}
