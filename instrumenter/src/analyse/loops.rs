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
///
/// From the inside out: a loop that has been found is one node, its header, to the loops around it.
/// So every block is walked over once, however deep the nest.
pub(crate) fn loops(
    graph: &Graph,
    order: &[u32],
    position: &[u32],
    predecessors: &[Vec<u32>],
) -> Loops {
    let back = |header: u32| {
        let before = predecessors[header as usize].iter().copied();
        before.filter(move |block| position[*block as usize] >= position[header as usize])
    };
    // In this order outer headers come before inner ones.
    let is_header = |block: &u32| {
        graph.blocks[*block as usize].header.is_some() && back(*block).next().is_some()
    };
    let headers: Vec<u32> = order.iter().copied().filter(is_header).collect();
    let count = graph.blocks.len();
    let mut found = Loops { loops: Vec::new(), innermost: vec![NONE; count] };
    found.loops.extend(headers.iter().map(|&header| Loop { header, parent: NONE }));
    let mut outermost = Outermost((0..count as u32).collect());
    let mut work = Vec::new();
    for (this, &header) in headers.iter().enumerate().rev() {
        let this = this as u32;
        found.innermost[header as usize] = this;
        work.extend(back(header));
        while let Some(block) = work.pop() {
            let block = outermost.of(block);
            if block == header {
                continue;
            }
            match found.innermost[block as usize] {
                NONE => found.innermost[block as usize] = this,
                inner => found.loops[inner as usize].parent = this,
            }
            outermost.0[block as usize] = header;
            work.extend_from_slice(&predecessors[block as usize]);
        }
    }
    found
}

/// For every block the header of a loop around it, up to that of the outermost found so far; a block
/// outside of them is its own.
struct Outermost(Vec<u32>);

impl Outermost {
    fn of(&mut self, mut block: u32) -> u32 {
        while self.0[block as usize] != block {
            let next = self.0[block as usize];
            self.0[block as usize] = self.0[next as usize];
            block = next;
        }
        block
    }
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
