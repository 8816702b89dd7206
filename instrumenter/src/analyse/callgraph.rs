//! Which functions can pause.
//!
//! A function that neither loops nor calls anything that can pause, and that is cheap on its
//! longest path, needs no check and no resume code: it runs to its end in any case.

use super::order;
use super::tails::{self, Tails};
use crate::abi::limits;
use crate::graph::{BlockId, Call, Callee, End, Graph};

/// What the call graph needs of one function.
#[derive(Debug)]
pub(crate) struct Summary {
    /// Contains a loop, or must be resumable for another reason.
    pub pauses: bool,
    /// Blocks in topological order: cost, successors, callee.
    blocks: Vec<(u64, Vec<u32>, Option<Target>)>,
    /// Calls whose results are returned as they are, tail calls included.
    tails: Vec<Call>,
}

#[derive(Debug, Clone, Copy)]
enum Target {
    Function(u32),
    Type(u32),
}

/// Summarises a defined function. `forced` functions are resumable in any case.
pub(crate) fn summarise(graph: &Graph, forced: bool) -> Summary {
    let successors = graph.successor_lists();
    let (order, position) = order::reverse_postorder(&successors);
    let mut pauses = forced;
    let mut blocks = Vec::with_capacity(order.len());
    for &block in &order {
        let at = position[block as usize];
        let list: Vec<u32> =
            successors[block as usize].iter().map(|next| position[*next as usize]).collect();
        pauses |= list.iter().any(|next| *next <= at);
        let block = &graph.blocks[block as usize];
        let target = match &block.end {
            End::Call { call, .. } | End::TailCall(call) => Some(match call.callee {
                Callee::Direct(function) => Target::Function(function),
                Callee::Indirect { .. } | Callee::Reference => Target::Type(call.ty),
            }),
            _ => None,
        };
        blocks.push((block.cost, list, target));
    }
    let tails = (0..graph.blocks.len() as BlockId)
        .filter_map(|block| match graph.blocks[block as usize].end {
            End::Call { call, .. } if tails::is_tail_call(graph, block) => Some(call),
            End::TailCall(call) => Some(call),
            _ => None,
        })
        .collect();
    Summary { pauses, blocks, tails }
}

/// Which functions can pause, by function index, imports included.
#[derive(Debug)]
pub(crate) struct CanPause {
    functions: Vec<bool>,
    by_type: Vec<bool>,
    tails: Tails,
}

impl CanPause {
    /// Whether the function can pause.
    pub fn function(&self, index: u32) -> bool {
        self.functions[index as usize]
    }

    /// Whether a call in `function` whose results are returned as they are needs no frame.
    pub fn frameless(&self, function: u32, call: Call) -> bool {
        self.tails.leave(function, &call)
    }

    /// Whether a call may pause.
    pub fn call(&self, callee: Callee, ty: u32) -> bool {
        match callee {
            Callee::Direct(function) => self.function(function),
            Callee::Indirect { .. } | Callee::Reference => self.by_type[ty as usize],
        }
    }
}

/// Decides for all functions.
///
/// `types` gives the (canonical) type index of every function and `referenced` the address-taken
/// functions; `summaries` are those of the defined functions.
pub(crate) fn can_pause(
    summaries: &[Summary],
    imported: u32,
    types: &[u32],
    type_count: usize,
    referenced: &[u32],
) -> CanPause {
    let mut search = Search {
        summaries,
        imported,
        functions: types.len() as u32,
        targets: vec![Vec::new(); type_count],
        longest: vec![Cost::Unknown; types.len() + type_count],
    };
    for &function in referenced {
        search.targets[types[function as usize] as usize].push(function);
    }
    for node in 0..search.longest.len() as u32 {
        search.visit(node);
    }
    let mut functions: Vec<bool> =
        search.longest.iter().map(|cost| !matches!(cost, Cost::Bounded(_))).collect();
    let by_type = functions.split_off(types.len());
    let calls = (imported..).zip(summaries.iter().map(|summary| summary.tails.as_slice()));
    let tails = Tails::new(calls, types, type_count, referenced);
    CanPause { functions, by_type, tails }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cost {
    Unknown,
    /// Being worked on: reaching it again is a recursion.
    Open,
    /// At most that many steps.
    Bounded(u64),
    /// Loops, recurses, calls the host, or is dear: it can pause.
    Pauses,
}

/// A search over nodes: the functions by index, and behind them the types, which stand for an
/// indirect call. Without the types there would be an edge from every call to every target.
struct Search<'a> {
    summaries: &'a [Summary],
    imported: u32,
    functions: u32,
    /// Address-taken functions by type.
    targets: Vec<Vec<u32>>,
    longest: Vec<Cost>,
}

impl Search<'_> {
    /// Settles a node and everything it calls, without recursing on the native stack.
    fn visit(&mut self, root: u32) {
        let mut stack = vec![root];
        while let Some(&node) = stack.last() {
            match self.longest[node as usize] {
                Cost::Bounded(_) | Cost::Pauses => {
                    stack.pop();
                }
                Cost::Unknown if self.pauses_by_itself(node) => {
                    self.longest[node as usize] = Cost::Pauses;
                }
                Cost::Unknown => {
                    self.longest[node as usize] = Cost::Open;
                    for callee in self.callees(node) {
                        match self.longest[callee as usize] {
                            Cost::Unknown => stack.push(callee),
                            // A recursion; every node on the cycle calls this one in turn.
                            Cost::Open => self.longest[node as usize] = Cost::Pauses,
                            _ => {}
                        }
                    }
                }
                Cost::Open => {
                    self.longest[node as usize] = self.settle(node);
                }
            }
        }
    }

    /// The summary of a defined function.
    fn summary(&self, node: u32) -> Option<&Summary> {
        if node >= self.functions {
            return None;
        }
        self.summaries.get(node.checked_sub(self.imported)? as usize)
    }

    fn pauses_by_itself(&self, node: u32) -> bool {
        node < self.imported || self.summary(node).is_some_and(|summary| summary.pauses)
    }

    fn node_of(&self, target: Target) -> u32 {
        match target {
            Target::Function(function) => function,
            Target::Type(ty) => self.functions + ty,
        }
    }

    fn callees(&self, node: u32) -> Vec<u32> {
        let Some(summary) = self.summary(node) else {
            return self.targets[(node - self.functions) as usize].clone();
        };
        let targets = summary.blocks.iter().filter_map(|(_, _, target)| *target);
        let mut callees: Vec<u32> = targets.map(|target| self.node_of(target)).collect();
        callees.sort_unstable();
        callees.dedup();
        callees
    }

    /// The cost of a node whose callees are settled, save those on a cycle with it.
    fn settle(&self, node: u32) -> Cost {
        let cost_of = |node: u32| match self.longest[node as usize] {
            Cost::Bounded(cost) => Some(cost),
            _ => None,
        };
        let Some(summary) = self.summary(node) else {
            let targets = &self.targets[(node - self.functions) as usize];
            let dearest = targets.iter().try_fold(0, |most, f| Some(cost_of(*f)?.max(most)));
            return dearest.map_or(Cost::Pauses, Cost::Bounded);
        };
        let mut longest = vec![0u64; summary.blocks.len()];
        for (at, (cost, successors, target)) in summary.blocks.iter().enumerate().rev() {
            let callee = match target {
                None => Some(0),
                Some(target) => cost_of(self.node_of(*target)),
            };
            let Some(callee) = callee else { return Cost::Pauses };
            let behind = successors.iter().map(|next| longest[*next as usize]).max().unwrap_or(0);
            longest[at] = cost + callee + behind;
        }
        match longest.first() {
            Some(&cost) if cost <= limits::UNCHECKED_STEPS_MAX => Cost::Bounded(cost),
            _ => Cost::Pauses,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A straight function: its cost and what it calls.
    fn straight(cost: u64, callees: &[Target]) -> Summary {
        let mut blocks: Vec<_> =
            callees.iter().enumerate().map(|(at, t)| (0, vec![at as u32 + 1], Some(*t))).collect();
        blocks.push((cost, vec![], None));
        Summary { pauses: false, blocks, tails: Vec::new() }
    }

    fn decide(summaries: &[Summary], referenced: &[u32]) -> Vec<bool> {
        // Every function is of type 0, and there is no import.
        let types = vec![0; summaries.len()];
        can_pause(summaries, 0, &types, 1, referenced).functions
    }

    #[test]
    fn cheap_functions_cannot_pause_up_to_the_limit() {
        let most = limits::UNCHECKED_STEPS_MAX;
        let calls_first = [Target::Function(0)];
        let summaries = [straight(most, &[]), straight(most + 1, &[]), straight(1, &calls_first)];
        assert_eq!(decide(&summaries, &[]), [false, true, true]);
    }

    #[test]
    fn recursions_can_pause_and_so_can_their_callers() {
        use Target::Function;
        let summaries = [
            straight(1, &[Function(0)]),
            straight(1, &[Function(2)]),
            straight(1, &[Function(3), Function(1)]),
            straight(1, &[]),
            straight(1, &[Function(1), Function(3)]),
            straight(1, &[Function(3), Function(3)]),
        ];
        assert_eq!(decide(&summaries, &[]), [true, true, true, false, true, false]);
    }

    #[test]
    fn indirect_calls_reach_the_functions_of_their_type() {
        let summaries =
            [straight(1, &[Target::Type(0)]), straight(5, &[]), straight(1, &[Target::Type(0)])];
        assert_eq!(decide(&summaries, &[1]), [false, false, false]);
        // Through the table, function 2 reaches itself; both callers reach it.
        assert_eq!(decide(&summaries, &[1, 2]), [true, false, true]);
        assert_eq!(decide(&summaries, &[]), [false, false, false]);
    }

    #[test]
    fn imports_can_pause() {
        let summaries = [straight(1, &[Target::Function(0)])];
        let decided = can_pause(&summaries, 1, &[0, 0], 1, &[]);
        assert!(decided.function(0) && decided.function(1));
    }
}
