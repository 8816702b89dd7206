//! Which functions can pause.
//!
//! A function that neither loops nor calls anything that can pause, and that is cheap on its
//! longest path, needs no check and no resume code: it runs to its end in any case.

use super::order;
use crate::abi::limits;
use crate::graph::{Callee, End, Graph};

/// What the call graph needs of one function.
#[derive(Debug)]
pub(crate) struct Summary {
    /// Contains a loop, or must be resumable for another reason.
    pub pauses: bool,
    /// Blocks in topological order: cost, successors, callee.
    blocks: Vec<(u64, Vec<u32>, Option<Target>)>,
}

#[derive(Debug, Clone, Copy)]
enum Target {
    Function(u32),
    Type(u32),
}

/// Summarises a defined function. `forced` functions are resumable in any case.
pub(crate) fn summarise(graph: &Graph, forced: bool) -> Summary {
    let mut successors: Vec<Vec<u32>> = Vec::with_capacity(graph.blocks.len());
    for block in &graph.blocks {
        let mut list = Vec::new();
        block.end.successors(|successor| list.push(successor));
        successors.push(list);
    }
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
            End::Call(call) => Some(match call.callee {
                Callee::Direct(function) => Target::Function(function),
                Callee::Indirect => Target::Type(call.ty),
            }),
            _ => None,
        };
        blocks.push((block.cost, list, target));
    }
    Summary { pauses, blocks }
}

/// Which functions can pause, by function index, imports included.
#[derive(Debug)]
pub(crate) struct CanPause {
    functions: Vec<bool>,
    by_type: Vec<bool>,
}

impl CanPause {
    /// Whether the function can pause.
    pub fn function(&self, index: u32) -> bool {
        self.functions[index as usize]
    }

    /// Whether a call may pause.
    pub fn call(&self, callee: Callee, ty: u32) -> bool {
        match callee {
            Callee::Direct(function) => self.function(function),
            Callee::Indirect => self.by_type[ty as usize],
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
    let mut state = Search {
        summaries,
        imported,
        targets: vec![Vec::new(); type_count],
        longest: vec![Cost::Unknown; types.len()],
    };
    for &function in referenced {
        state.targets[types[function as usize] as usize].push(function);
    }
    for function in 0..types.len() as u32 {
        state.visit(function);
    }
    let functions: Vec<bool> =
        state.longest.iter().map(|cost| !matches!(cost, Cost::Bounded(_))).collect();
    let by_type = state
        .targets
        .iter()
        .map(|targets| targets.iter().any(|target| functions[*target as usize]))
        .collect();
    CanPause { functions, by_type }
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

struct Search<'a> {
    summaries: &'a [Summary],
    imported: u32,
    targets: Vec<Vec<u32>>,
    longest: Vec<Cost>,
}

impl Search<'_> {
    /// Settles a function and everything it calls, without recursing on the native stack.
    fn visit(&mut self, root: u32) {
        let mut stack = vec![root];
        while let Some(&function) = stack.last() {
            match self.longest[function as usize] {
                Cost::Bounded(_) | Cost::Pauses => {
                    stack.pop();
                }
                Cost::Unknown if self.pauses_by_itself(function) => {
                    self.longest[function as usize] = Cost::Pauses;
                }
                Cost::Unknown => {
                    self.longest[function as usize] = Cost::Open;
                    for callee in self.callees(function) {
                        match self.longest[callee as usize] {
                            Cost::Unknown => stack.push(callee),
                            // A recursion; every function on the cycle calls this one in turn.
                            Cost::Open => self.longest[function as usize] = Cost::Pauses,
                            _ => {}
                        }
                    }
                }
                Cost::Open => {
                    self.longest[function as usize] = self.settle(function);
                }
            }
        }
    }

    fn pauses_by_itself(&self, function: u32) -> bool {
        match function.checked_sub(self.imported) {
            None => true,
            Some(defined) => self.summaries[defined as usize].pauses,
        }
    }

    fn callees(&self, function: u32) -> Vec<u32> {
        let summary = &self.summaries[(function - self.imported) as usize];
        let mut callees = Vec::new();
        for (_, _, target) in &summary.blocks {
            match target {
                Some(Target::Function(callee)) => callees.push(*callee),
                Some(Target::Type(ty)) => callees.extend(&self.targets[*ty as usize]),
                None => {}
            }
        }
        callees.sort_unstable();
        callees.dedup();
        callees
    }

    /// The cost of a function whose callees are settled, save those on a cycle with it.
    fn settle(&self, function: u32) -> Cost {
        let summary = &self.summaries[(function - self.imported) as usize];
        let mut longest = vec![0u64; summary.blocks.len()];
        for (at, (cost, successors, target)) in summary.blocks.iter().enumerate().rev() {
            let callee = match target {
                None => 0,
                Some(Target::Function(callee)) => match self.longest[*callee as usize] {
                    Cost::Bounded(cost) => cost,
                    _ => return Cost::Pauses,
                },
                Some(Target::Type(ty)) => {
                    let mut dearest = 0;
                    for target in &self.targets[*ty as usize] {
                        match self.longest[*target as usize] {
                            Cost::Bounded(cost) => dearest = dearest.max(cost),
                            _ => return Cost::Pauses,
                        }
                    }
                    dearest
                }
            };
            let behind = successors.iter().map(|next| longest[*next as usize]).max().unwrap_or(0);
            longest[at] = cost + callee + behind;
        }
        match longest.first() {
            Some(&cost) if cost <= limits::UNCHECKED_STEPS_MAX => Cost::Bounded(cost),
            _ => Cost::Pauses,
        }
    }
}
