//! From the function's entry, or a loop's header, to where a frame's point goes on.
//!
//! All frames of a function have each value at the same place, so what most targets of a dispatch
//! want is loaded once, in front of it. A target that does not want it has it dead: nothing live can
//! be overwritten, because a value that is live at the header in front has been loaded further out.
//! But for one target: at the function's entry all locals that are not parameters are zero.

use std::collections::HashMap;

use super::frames::Placed;
use super::{Fuel, Load, Node, NodeId, Planner};
use crate::abi::limits;
use crate::analyse::order::NONE;
use crate::graph::{HandlersId, Var};
use crate::metadata::PointKind;

/// A value that at least as many targets want is loaded in front of the dispatch. Measured on nine
/// programs: with 2 native code is 2.77 times the plain module's, with 3 and 5 it is 2.75.
const COMMON: u32 = 3;

/// A place that a dispatch leads to.
struct Target {
    node: NodeId,
    /// The point that is reached.
    finish: Option<u32>,
    values: Placed,
    references: Placed,
    /// Locals that must be zero there.
    zeros: Vec<Var>,
    /// Where what the callee may have thrown is caught.
    handlers: Option<HandlersId>,
}

/// The targets of a dispatch, and which of them each point is reached by.
#[derive(Default)]
struct Targets {
    all: Vec<Target>,
    of_point: Vec<(u32, usize)>,
}

impl Planner<'_> {
    /// The dispatch to `points` from inside the first `depth` of their loops.
    pub(super) fn dispatch(&mut self, points: &[u32], depth: usize, again: NodeId) -> NodeId {
        self.targets += (points[points.len() - 1] - points[0]) as usize + 1;
        if self.targets > limits::DISPATCH_TARGETS_MAX {
            // The plan is given up; any node will do.
            return again;
        }
        let Targets { mut all, of_point } = self.find_targets(points, depth, again);
        let values = all.iter().any(|target| !target.values.is_empty());
        if all.len() == 1 {
            let target = all.remove(0);
            let fuel = if target.finish.is_some() { Fuel::FetchAndTake } else { Fuel::Keep };
            return self.target(target, values, fuel);
        }
        let common = take_common(&mut all);
        if let Some(entry) = all.iter_mut().find(|target| target.node == again) {
            let live = |var: Var| self.analysis.live.is_live(0, var);
            let zero = |var: &Var| (self.graph.params..self.graph.locals).contains(var);
            entry.zeros = common.iter().map(|(var, _)| *var).filter(zero).collect();
            entry.zeros.retain(|var| live(*var));
        }
        let finishing = all.iter().filter(|target| target.finish.is_some()).count();
        let (before, after) = match finishing {
            0 => (Fuel::Keep, Fuel::Keep),
            1 => (Fuel::Keep, Fuel::FetchAndTake),
            all_of_them if all_of_them == all.len() => (Fuel::FetchAndTake, Fuel::Keep),
            _ => (Fuel::Fetch, Fuel::Take),
        };
        let mut nodes = Vec::with_capacity(all.len());
        for target in all {
            let fuel = if target.finish.is_some() { after } else { Fuel::Keep };
            nodes.push(self.target(target, false, fuel));
        }
        let first = points[0];
        let mut targets = vec![NONE; (points[points.len() - 1] - first) as usize + 1];
        for (point, at) in of_point {
            targets[(point - first) as usize] = nodes[at];
        }
        let dispatch = self.node(Node::Dispatch { first, targets });
        if before == Fuel::Keep && !values {
            return dispatch;
        }
        self.node(Node::Load(Load {
            base: values,
            values: common,
            references: Vec::new(),
            zeros: Vec::new(),
            finish: None,
            fuel: before,
            thrown: None,
            target: dispatch,
        }))
    }

    fn find_targets(&self, points: &[u32], depth: usize, again: NodeId) -> Targets {
        // By what must be the same for points to be reached alike.
        let mut known: HashMap<(NodeId, Option<u32>, Placed), usize> = HashMap::new();
        let mut targets = Targets::default();
        for &number in points {
            let point = &self.plan.points[number as usize];
            let (node, finish) = match point.loops.get(depth) {
                Some(inner) => {
                    let header = self.analysis.loops.loops[*inner as usize].header;
                    (self.plan.entries[header as usize], None)
                }
                None if point.kind == PointKind::Entry => (again, Some(number)),
                None => (self.plan.entries[point.block as usize], Some(number)),
            };
            let (values, references) = point.layout.at_level(depth as u32);
            let catches = self.facts.catches && finish.is_some() && point.call.is_some();
            let handlers = catches.then_some(point.handlers);
            let all = &mut targets.all;
            let at = *known.entry((node, finish, references)).or_insert_with_key(|key| {
                let (values, references) = (Vec::new(), key.2.clone());
                let zeros = Vec::new();
                all.push(Target { node, finish, values, references, zeros, handlers });
                all.len() - 1
            });
            all[at].values.extend(values);
            targets.of_point.push((number, at));
        }
        for target in &mut targets.all {
            target.values.sort_unstable();
            target.values.dedup();
        }
        targets
    }

    /// The node that loads what only one target wants, if there is anything to do.
    fn target(&mut self, target: Target, base: bool, fuel: Fuel) -> NodeId {
        let Target { node, finish, values, references, zeros, handlers } = target;
        let call = finish.and_then(|number| self.plan.points[number as usize].call);
        let facts = self.facts;
        let results = call.is_some_and(|(ty, _)| !facts.types[ty as usize].results.is_empty());
        let thrown = handlers.map(|handlers| self.rethrow(handlers));
        let nothing = values.is_empty() && references.is_empty() && zeros.is_empty() && !results;
        if nothing && thrown.is_none() && fuel == Fuel::Keep {
            return node;
        }
        self.node(Node::Load(Load {
            base,
            values,
            references,
            zeros,
            finish,
            fuel,
            thrown,
            target: node,
        }))
    }
}

/// Takes from the targets what is to be loaded in front of the dispatch.
fn take_common(all: &mut [Target]) -> Placed {
    let mut count: HashMap<Var, u32> = HashMap::new();
    for (var, _) in all.iter().flat_map(|target| &target.values) {
        *count.entry(*var).or_default() += 1;
    }
    let mut common = Vec::new();
    for target in all {
        common.extend(target.values.extract_if(.., |(var, _)| count[var] >= COMMON));
    }
    common.sort_unstable();
    common.dedup();
    common
}
