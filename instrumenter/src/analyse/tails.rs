//! Calls whose results are returned as they are.
//!
//! Such a call needs no frame: while it is paused there is nothing to go on with behind it. But a
//! recursion of nothing else would have no frames at all, and could go on for ever without getting
//! any deeper. Where it can come back to itself by such calls alone, each keeps its frame.

use super::order;
use crate::graph::{BlockId, Call, Callee, End, Graph, NO_HANDLERS};

/// Whether the call that ends a block is such a call, at no further cost.
pub(crate) fn is_tail_call(graph: &Graph, block: BlockId) -> bool {
    /// Jumps followed; real code has one or two.
    const JUMPS_MAX: usize = 8;
    let End::Call { call, next } = graph.blocks[block as usize].end else { return false };
    let below = graph.blocks[block as usize].stack_out.len();
    let results = &graph.results;
    let mut block = &graph.blocks[next as usize];
    if call.handlers != NO_HANDLERS || block.stack_in.len() - below != results.len() {
        return false;
    }
    for _ in 0..JUMPS_MAX {
        let idle = block.ops.is_empty() && block.cost == 0 && block.header.is_none();
        if !idle || !block.stack_in.ends_with(results) {
            return false;
        }
        match block.end {
            End::Return => return true,
            // The results are the topmost operands, and stay so if the jump keeps them.
            End::Jump { target, arity } => {
                let next = &graph.blocks[target as usize];
                if (arity as usize) < results.len() && next.stack_in != block.stack_in {
                    return false;
                }
                block = next;
            }
            _ => return false,
        }
    }
    false
}

/// What such calls can reach.
#[derive(Debug)]
pub(crate) struct Tails {
    /// The component of every function, and behind them of every type, which stands for the
    /// address-taken functions of that type. Node 0 is before them all.
    component: Vec<u32>,
    functions: usize,
}

impl Tails {
    /// Finds the components. `calls` are the calls by function; the types and `referenced` are those
    /// of [`can_pause`](super::callgraph::can_pause).
    pub fn new<'a>(
        calls: impl Iterator<Item = (u32, &'a [Call])>,
        types: &[u32],
        type_count: usize,
        referenced: &[u32],
    ) -> Tails {
        let count = 1 + types.len() + type_count;
        let mut tails = Tails { component: Vec::new(), functions: types.len() };
        let mut successors: Vec<Vec<u32>> = vec![Vec::new(); count];
        successors[0] = (1..count as u32).collect();
        for (function, calls) in calls {
            let callees = calls.iter().map(|call| tails.callee(call) as u32);
            successors[1 + function as usize] = callees.collect();
        }
        for &function in referenced {
            let ty = 1 + types.len() + types[function as usize] as usize;
            successors[ty].push(1 + function);
        }
        (_, tails.component) = order::components(&successors);
        tails
    }

    fn callee(&self, call: &Call) -> usize {
        1 + match call.callee {
            Callee::Direct(function) => function as usize,
            Callee::Indirect { .. } | Callee::Reference => self.functions + call.ty as usize,
        }
    }

    /// Whether such a call in `function` cannot come back to it by such calls alone.
    pub fn leave(&self, function: u32, call: &Call) -> bool {
        self.component[1 + function as usize] != self.component[self.callee(call)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(function: u32) -> Call {
        Call { callee: Callee::Direct(function), offset: 0, ty: 0, handlers: NO_HANDLERS }
    }

    #[test]
    fn cycles_are_found_through_functions_and_types() {
        let indirect = Call { callee: Callee::Reference, ..direct(0) };
        let calls =
            [vec![direct(1)], vec![direct(0)], vec![direct(1)], vec![direct(3)], vec![indirect]];
        let of = |referenced: &[u32]| {
            let calls = (0..).zip(&calls).map(|(function, calls)| (function, calls.as_slice()));
            Tails::new(calls, &[0; 5], 1, referenced)
        };
        let tails = of(&[]);
        assert!(!tails.leave(0, &direct(1)) && !tails.leave(1, &direct(0)));
        assert!(tails.leave(2, &direct(1)));
        assert!(!tails.leave(3, &direct(3)));
        assert!(tails.leave(4, &indirect));
        assert!(!of(&[4]).leave(4, &indirect));
    }
}
