//! Which locals are live on entry to each block.
//!
//! Operand slots are not tracked: a block's incoming operand stack is live by definition.

use crate::effort::Effort;
use crate::graph::{Graph, Op};

/// Words that are looked at between two looks at the sum of all functions.
const EFFORT_STEP: usize = 1 << 16;

/// A set of locals for every block.
#[derive(Debug)]
pub(crate) struct Liveness {
    words: usize,
    live_in: Vec<u64>,
}

impl Liveness {
    /// Whether `local` is live on entry to `block`.
    pub fn is_live(&self, block: u32, local: u32) -> bool {
        let word = self.live_in[block as usize * self.words + local as usize / 64];
        word >> (local % 64) & 1 == 1
    }

    /// The locals live on entry to `block` as a set of bits.
    pub fn words(&self, block: u32) -> &[u64] {
        &self.live_in[block as usize * self.words..][..self.words]
    }

    /// The locals live on entry to `block`, in ascending order.
    pub fn live_in(&self, block: u32) -> impl Iterator<Item = u32> + '_ {
        locals(self.words(block))
    }
}

/// The locals in a set, in ascending order.
pub(crate) fn locals(words: &[u64]) -> impl Iterator<Item = u32> + '_ {
    words.iter().enumerate().flat_map(|(at, word)| {
        let mut word = *word;
        std::iter::from_fn(move || {
            if word == 0 {
                return None;
            }
            let bit = word.trailing_zeros();
            word &= word - 1;
            Some(at as u32 * 64 + bit)
        })
    })
}

/// Computes liveness by iterating backwards until nothing changes.
pub(crate) fn liveness(
    graph: &Graph,
    order: &[u32],
    predecessors: &[Vec<u32>],
    successors: &[Vec<u32>],
    effort: &Effort,
) -> Liveness {
    let words = (graph.locals as usize).div_ceil(64);
    let size = words * graph.blocks.len();
    let mut live = Liveness { words, live_in: vec![0; size] };
    let mut defined = vec![0u64; size];
    for &block in order {
        let start = block as usize * words;
        let used = &mut live.live_in[start..start + words];
        let killed = &mut defined[start..start + words];
        for op in graph.ops_of(&graph.blocks[block as usize]) {
            match *op {
                Op::Get(local) if local < graph.locals => {
                    let (word, bit) = (local as usize / 64, 1 << (local % 64));
                    used[word] |= bit & !killed[word];
                }
                Op::Set(local) | Op::Tee(local) if local < graph.locals => {
                    killed[local as usize / 64] |= 1 << (local % 64);
                }
                _ => {}
            }
        }
    }
    let mut queued = vec![false; graph.blocks.len()];
    let mut work: Vec<u32> = order.to_vec();
    work.iter().for_each(|block| queued[*block as usize] = true);
    let mut spent = 0;
    while let Some(block) = work.pop() {
        queued[block as usize] = false;
        spent += words * (successors[block as usize].len() + 1);
        if spent > EFFORT_STEP && !effort.liveness(std::mem::take(&mut spent)) {
            // The module is given up.
            return live;
        }
        let start = block as usize * words;
        let mut changed = false;
        for word in 0..words {
            let out = successors[block as usize]
                .iter()
                .fold(0, |out, successor| out | live.live_in[*successor as usize * words + word]);
            let live_in = &mut live.live_in[start + word];
            let new = *live_in | (out & !defined[start + word]);
            changed |= new != *live_in;
            *live_in = new;
        }
        if changed {
            for &predecessor in &predecessors[block as usize] {
                if !std::mem::replace(&mut queued[predecessor as usize], true) {
                    work.push(predecessor);
                }
            }
        }
    }
    effort.liveness(spent);
    live
}
