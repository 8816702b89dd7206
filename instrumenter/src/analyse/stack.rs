//! How fast a program can use up native stack.
//!
//! The engine cuts a run at multiples of a number of steps, and at a cut nothing is left on the
//! native stack; so what can be on it is what so many steps can build. That is estimated here, from
//! the original code alone and so equal on every host. An activation that calls deeper into its own
//! recursion takes the native frame of its function, and has taken at least the *least steps* from
//! the function's entry to such a call. The dearest cycle of the call graph, bytes by steps, is the
//! module's [`Demand::per_step`]. What one can have beyond full cycles, and the dearest chain of
//! calls that are on no cycle, is [`Demand::fixed`].
//!
//! A native frame holds what is live across a call, because wasmtime's calling convention keeps no
//! register across one, and room for arguments and results that are not passed in registers. The
//! register allocator takes up to twice that in the largest real functions and less than half of it
//! in most; whoever uses the figures allows for it (`engine/src/pace.rs`). What a frame takes in
//! the frame memory is never more than what is estimated here.
//!
//! NB: calls back from imports are left out. While one runs no cut is possible, so the native stack
//! is their limit in any case.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Analysis;
use super::order;
use crate::graph::{Callee, End, Graph};
use crate::metadata::ValType;
use crate::types::{Signature, WasmType, kind};

/// Bytes of a native frame besides its values: return address, frame pointer, the pointer that
/// wasmtime keeps alive (its context), alignment.
const FRAME_BYTES: u64 = 48;
/// Arguments, and results, that are passed in registers on every host.
const REGISTERS: usize = 3;
/// Rounds in which the call graph must come to rest for a rate to be taken for high enough. Cycles
/// are short; where that is wrong the estimate is higher than it had to be.
const ROUNDS_MAX: usize = 64;
/// What the estimate may put into [`Demand::fixed`] to get a lower rate.
const SLACK_BYTES_MAX: u64 = 64 << 10;

/// What a module can ask of the native stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Bytes for every step of a recursion; 0 if nothing recurses.
    pub per_step: u32,
    /// Bytes besides.
    pub fixed: u32,
}

/// What is needed of one function.
#[derive(Debug)]
pub(crate) struct Summary {
    frame_bytes: u64,
    /// What is called, and the least steps from the entry to there, each callee once.
    calls: Vec<(Node, u64)>,
}

/// Something that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Function(u32),
    /// Any address-taken function of that type.
    Type(u32),
}

/// Summarises a defined function.
pub(crate) fn summarise(graph: &Graph, analysis: &Analysis, types: &[Signature]) -> Summary {
    let least = least_steps(graph);
    let mut calls: Vec<(Node, u64)> = Vec::new();
    let mut outgoing = 0;
    for &block in &analysis.order {
        // A tail call gives its frame up first, but what it calls is one step further all the same.
        let (End::Call { call, .. } | End::TailCall(call)) = &graph.blocks[block as usize].end
        else {
            continue;
        };
        let ty = &types[call.ty as usize];
        // Arguments wait in slots until the call, and are then copied.
        outgoing = outgoing.max(2 * beyond_registers(&ty.params) + beyond_registers(&ty.results));
        let node = match call.callee {
            Callee::Direct(function) => Node::Function(function),
            Callee::Indirect { .. } | Callee::Reference => Node::Type(call.ty),
        };
        calls.push((node, least[block as usize]));
    }
    calls.sort_unstable();
    calls.dedup_by_key(|(node, _)| *node);
    Summary { frame_bytes: FRAME_BYTES + live_bytes(graph, analysis) + outgoing, calls }
}

fn value_bytes(ty: WasmType) -> u64 {
    match kind(ty) {
        // References may be kept twice, once for a collector to find.
        ty if ty == ValType::V128 || ty.is_reference() => 16,
        _ => 8,
    }
}

fn bytes(types: &[WasmType]) -> u64 {
    types.iter().map(|ty| value_bytes(*ty)).sum()
}

fn beyond_registers(types: &[WasmType]) -> u64 {
    bytes(types.get(REGISTERS..).unwrap_or_default())
}

/// The most bytes of values that are live between two blocks.
fn live_bytes(graph: &Graph, analysis: &Analysis) -> u64 {
    let mut wide = vec![0u64; (graph.locals as usize).div_ceil(64)];
    for (local, ty) in graph.vars[..graph.locals as usize].iter().enumerate() {
        if value_bytes(*ty) == 16 {
            wide[local / 64] |= 1 << (local % 64);
        }
    }
    let mut most = 0;
    for &block in &analysis.order {
        let live = analysis.live.words(block).iter().zip(&wide);
        let locals: u32 =
            live.map(|(live, wide)| live.count_ones() + (live & wide).count_ones()).sum();
        let block = &graph.blocks[block as usize];
        let operands = bytes(&block.stack_in).max(bytes(&block.stack_out));
        most = most.max(8 * u64::from(locals) + operands);
    }
    most
}

/// The least steps from the function's entry to the end of every block.
fn least_steps(graph: &Graph) -> Vec<u64> {
    let mut least = vec![u64::MAX; graph.blocks.len()];
    let mut queue = BinaryHeap::from([Reverse((graph.blocks[0].cost, 0))]);
    while let Some(Reverse((steps, block))) = queue.pop() {
        if least[block as usize] != u64::MAX {
            continue;
        }
        least[block as usize] = steps;
        graph.successors(block, |next| {
            if least[next as usize] == u64::MAX {
                queue.push(Reverse((steps + graph.blocks[next as usize].cost, next)));
            }
        });
    }
    least
}

/// What the module can ask for. The arguments are those of
/// [`can_pause`](super::callgraph::can_pause).
pub(crate) fn demand(
    summaries: &[Summary],
    imported: u32,
    types: &[u32],
    type_count: usize,
    referenced: &[u32],
) -> Demand {
    // Node 0 calls everything; behind it the functions, then the types.
    let of = |node: Node| match node {
        Node::Function(function) => 1 + function,
        Node::Type(ty) => 1 + types.len() as u32 + ty,
    };
    let count = 1 + types.len() + type_count;
    let mut callees: Vec<Vec<u32>> = vec![Vec::new(); count];
    callees[0] = (1..count as u32).collect();
    for (summary, function) in summaries.iter().zip(imported..) {
        let calls = summary.calls.iter().map(|(node, _)| of(*node));
        callees[of(Node::Function(function)) as usize] = calls.collect();
    }
    for &function in referenced {
        let ty = of(Node::Type(types[function as usize])) as usize;
        callees[ty].push(of(Node::Function(function)));
    }
    let (order, component) = order::components(&callees);
    // The calls inside recursions; through a type they take no steps and no stack of their own.
    let mut calls: Vec<Call> = Vec::new();
    let mut largest = vec![0u64; count];
    for (summary, function) in summaries.iter().zip(imported..) {
        let caller = of(Node::Function(function));
        let own = component[caller as usize];
        largest[own as usize] = largest[own as usize].max(summary.frame_bytes);
        for &(node, steps) in &summary.calls {
            let (callee, bytes, steps) = (of(node), summary.frame_bytes, steps.max(1));
            calls.push(Call { caller, callee, bytes, steps });
        }
    }
    for &function in referenced {
        let (caller, callee) =
            (of(Node::Type(types[function as usize])), of(Node::Function(function)));
        calls.push(Call { caller, callee, bytes: 0, steps: 0 });
    }
    calls.retain(|call| component[call.caller as usize] == component[call.callee as usize]);
    let (per_step, beyond) = rate(&calls, count);

    // By component, callees first: what the dearest chain of calls takes from there on.
    let mut chain = vec![0u64; count];
    for nodes in order.chunk_by(|a, b| component[*a as usize] == component[*b as usize]).rev() {
        let own = component[nodes[0] as usize];
        let behind = nodes.iter().flat_map(|node| &callees[*node as usize]);
        let behind = behind.map(|callee| component[*callee as usize]).filter(|other| *other != own);
        let behind = behind.map(|other| chain[other as usize]).max().unwrap_or(0);
        let beyond = nodes.iter().map(|node| beyond[*node as usize]).max().unwrap_or(0);
        // The last activation leaves the recursion, after however few steps.
        chain[own as usize] = largest[own as usize].saturating_add(beyond).saturating_add(behind);
    }
    // The first one was resumed: it may have taken its steps before.
    let resumed = largest.iter().max().copied().unwrap_or(0);
    let fixed = chain[component[0] as usize].saturating_add(resumed);
    let clip = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    Demand { per_step: clip(per_step), fixed: clip(fixed) }
}

/// A call inside a recursion.
struct Call {
    caller: u32,
    callee: u32,
    /// What the caller's frame takes.
    bytes: u64,
    /// The steps it has taken, at least.
    steps: u64,
}

/// The lowest rate of bytes by steps found that no cycle of calls exceeds, and for every node the
/// bytes by which a chain of calls from there can be above it.
fn rate(calls: &[Call], nodes: usize) -> (u64, Vec<u64>) {
    // With the rate of the worst single call no chain is ever above it.
    let worst = calls.iter().map(|call| call.bytes.div_ceil(call.steps.max(1))).max().unwrap_or(0);
    let (mut low, mut high, mut found) = (0, worst, vec![0; nodes]);
    while low < high {
        let middle = low.midpoint(high);
        match beyond(calls, nodes, middle) {
            Some(beyond) => (high, found) = (middle, beyond),
            None => low = middle + 1,
        }
    }
    (high, found)
}

/// The longest paths where a call is as long as it is above the rate (Bellman and Ford); `None` if
/// a cycle is above it, or might be.
fn beyond(calls: &[Call], nodes: usize, rate: u64) -> Option<Vec<u64>> {
    let mut beyond = vec![0u64; nodes];
    for _ in 0..ROUNDS_MAX {
        let mut changed = false;
        for call in calls {
            let there = beyond[call.callee as usize].saturating_add(call.bytes);
            let here = there.saturating_sub(rate.saturating_mul(call.steps));
            if here > beyond[call.caller as usize] {
                if here > SLACK_BYTES_MAX {
                    return None;
                }
                beyond[call.caller as usize] = here;
                changed = true;
            }
        }
        if !changed {
            return Some(beyond);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(frame_bytes: u64, calls: &[(Node, u64)]) -> Summary {
        Summary { frame_bytes, calls: calls.to_vec() }
    }

    /// Every function is of type 0, and there is no import.
    fn decide(summaries: &[Summary], referenced: &[u32]) -> (u32, u32) {
        let types = vec![0; summaries.len()];
        let Demand { per_step, fixed } = demand(summaries, 0, &types, 1, referenced);
        (per_step, fixed)
    }

    #[test]
    fn without_recursion_the_dearest_chain_counts() {
        use Node::Function;
        let leaf = function(100, &[]);
        let twice = function(30, &[(Function(0), 2), (Function(2), 5)]);
        let middle = function(50, &[(Function(0), 9)]);
        // 30 + 50 + 100, and one more for the activation that was resumed.
        assert_eq!(decide(&[leaf, twice, middle], &[]), (0, 180 + 100));
    }

    #[test]
    fn only_calls_inside_the_recursion_count_for_its_steps() {
        use Node::Function;
        let own = function(100, &[(Function(0), 20), (Function(1), 2)]);
        let leaf = function(60, &[]);
        assert_eq!(decide(&[own, leaf], &[]), (5, 160 + 100));
    }

    #[test]
    fn the_dearest_cycle_counts_not_the_dearest_call() {
        use Node::Function;
        // 133 bytes in 12 steps; from `b` on, 33 bytes come with 2 steps: 9 bytes more than that.
        let a = function(100, &[(Function(1), 10)]);
        let b = function(33, &[(Function(0), 2)]);
        assert_eq!(decide(&[a, b], &[]), (12, 200 + 9));
        // Both ways round: the short cut is the dearer one.
        let a = function(100, &[(Function(1), 10), (Function(0), 5)]);
        let b = function(33, &[(Function(0), 2)]);
        assert_eq!(decide(&[a, b], &[]), (20, 200));
    }

    #[test]
    fn recursion_through_a_table_is_found() {
        let own = || function(80, &[(Node::Type(0), 4)]);
        assert_eq!(decide(&[own()], &[]), (0, 160));
        assert_eq!(decide(&[own()], &[0]), (20, 160));
    }
}
