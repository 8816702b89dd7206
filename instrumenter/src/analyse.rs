//! Analyses of a [`Graph`]. None of them changes it, and none knows how it is encoded.

pub(crate) mod callgraph;
pub(crate) mod charges;
pub(crate) mod liveness;
pub(crate) mod loops;
pub(crate) mod order;
pub(crate) mod stack;
pub(crate) mod tails;

use crate::abi::limits;
use crate::effort::Effort;
use crate::error::{Error, ErrorKind};
use crate::graph::Graph;

/// Everything known of a function's graph.
#[derive(Debug)]
pub(crate) struct Analysis {
    /// Reachable blocks in reverse postorder.
    pub order: Vec<u32>,
    /// The loops.
    pub loops: loops::Loops,
    /// Live locals.
    pub live: liveness::Liveness,
    /// The payments.
    pub charges: charges::Charges,
}

/// Runs the analyses. `catches` tells whether any function of the module catches exceptions.
///
/// # Errors
/// When the sets of live locals would get too large.
pub(crate) fn analyse(graph: &Graph, catches: bool, effort: &Effort) -> Result<Analysis, Error> {
    let words = (graph.locals as usize).div_ceil(64) * graph.blocks.len();
    if words > limits::LIVENESS_WORDS_MAX {
        let message = format!(
            "{} blocks times {} locals; split the function",
            graph.blocks.len(),
            graph.locals
        );
        return Err(Error::new(ErrorKind::Limit, message));
    }
    let successors = graph.successor_lists();
    let (order, position) = order::reverse_postorder(&successors);
    let predecessors = order::predecessors(&successors, &order);
    let loops = loops::loops(graph, &order, &position, &predecessors);
    let live = liveness::liveness(graph, &order, &predecessors, &successors, effort);
    effort.check()?;
    let charges = charges::charges(graph, &order, &successors, catches, |block| {
        loops.headed_by(block).is_some()
    });
    Ok(Analysis { order, loops, live, charges })
}
