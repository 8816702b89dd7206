//! What a frame looks like.
//!
//! Each value has the same place in the frames of all points of its function, so that code can be
//! shared between points that have it. Values that are nowhere live together share their place:
//! they get the lowest that is free at all of their points, those first that are live at most.
//!
//! What is written is shared as paths of one tree. A path from its root is a sequence of values; a
//! point's is that of its live values, again those first that are live at most points. Points with
//! much in common share a long beginning.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::analyse::order::NONE;
use crate::graph::{Graph, Var};
use crate::metadata::{Field, ValType};
use crate::types::kind;

/// Index into the nodes of a [`Tree`].
pub(crate) type Branch = u32;

/// Variables with their byte offset in the frame; references with their index among the frame's.
pub(crate) type Placed = Vec<(Var, u32)>;

/// The layout of the frame of a resume point.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// By level.
    values: Vec<Value>,
    /// The last of its values that is not a reference, or [`NONE`].
    pub last: Branch,
    /// Bytes of the frame without its trailer, a multiple of 8.
    pub bytes: u32,
    /// Number of references.
    pub references: u32,
}

#[derive(Debug, Clone, Copy)]
struct Value {
    var: Var,
    ty: ValType,
    level: u32,
    /// Byte offset from the frame's start; for references the index among the frame's.
    at: u32,
}

/// The values of all frames of a function.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<TreeNode>,
    known: HashMap<(Branch, Var), Branch>,
}

#[derive(Debug)]
struct TreeNode {
    parent: Branch,
    var: Var,
    ty: ValType,
    at: u32,
    /// Nodes behind this one, and frames that end here.
    successors: u32,
}

impl Tree {
    fn add(&mut self, parent: Branch, var: Var, ty: ValType, at: u32) -> Branch {
        if let Some(node) = self.known.get(&(parent, var)) {
            return *node;
        }
        let node = self.nodes.len() as Branch;
        if let Some(parent) = self.nodes.get_mut(parent as usize) {
            parent.successors += 1;
        }
        self.nodes.push(TreeNode { parent, var, ty, at, successors: 0 });
        self.known.insert((parent, var), node);
        node
    }

    /// The values from a node up to the root.
    pub fn path(&self, from: Branch) -> Vec<(Var, ValType, u32)> {
        let mut values = Vec::new();
        let mut at = from;
        while let Some(node) = self.nodes.get(at as usize) {
            values.push((node.var, node.ty, node.at));
            at = node.parent;
        }
        values
    }

    /// The values from a node up to the next one that more than one path leads through, which
    /// follows.
    pub fn run(&self, from: Branch) -> (Vec<(Var, ValType, u32)>, Branch) {
        let mut values = Vec::new();
        let mut at = from;
        loop {
            let node = &self.nodes[at as usize];
            values.push((node.var, node.ty, node.at));
            at = node.parent;
            if at == NONE || self.nodes[at as usize].successors > 1 {
                return (values, at);
            }
        }
    }
}

/// Lays out the frames of a function, given for every point its live variables with the level of
/// the dispatch that reloads them.
pub(crate) fn layouts(graph: &Graph, points: Vec<Vec<(u32, Var)>>) -> (Vec<Layout>, Tree) {
    let homes = Homes::new(graph, &points);
    let mut tree = Tree::default();
    let layouts = points
        .into_iter()
        .map(|mut live| {
            live.sort_unstable_by_key(|(_, var)| (homes.rank[*var as usize], *var));
            layout(graph, &homes, &mut tree, live)
        })
        .collect();
    (layouts, tree)
}

/// Where each variable is in the frames it is part of.
struct Homes {
    /// Byte offset by variable.
    at: Vec<u32>,
    /// Order by variable: what is live at most points comes first.
    rank: Vec<Reverse<u32>>,
}

impl Homes {
    /// Gives every variable the lowest place that is free at all points where it is live.
    fn new(graph: &Graph, points: &[Vec<(u32, Var)>]) -> Homes {
        let mut users: Vec<Vec<u32>> = vec![Vec::new(); graph.vars.len()];
        for (point, live) in points.iter().enumerate() {
            live.iter().for_each(|(_, var)| users[*var as usize].push(point as u32));
        }
        let rank: Vec<_> = users.iter().map(|points| Reverse(points.len() as u32)).collect();
        let mut order: Vec<Var> = (0..graph.vars.len() as Var).collect();
        order.retain(|var| {
            !users[*var as usize].is_empty() && !kind(graph.vars[*var as usize]).is_reference()
        });
        order.sort_by_key(|var| rank[*var as usize]);
        // By point the units of four bytes that are taken, by the bit.
        let mut taken: Vec<Vec<u64>> = vec![Vec::new(); points.len()];
        let mut all: Vec<u64> = Vec::new();
        let mut at = vec![0; graph.vars.len()];
        for var in order {
            let units = kind(graph.vars[var as usize]).frame_bytes() / UNIT;
            all.clear();
            for point in &users[var as usize] {
                let taken = &taken[*point as usize];
                all.resize(all.len().max(taken.len()), 0);
                all.iter_mut().zip(taken).for_each(|(all, taken)| *all |= taken);
            }
            let unit = free(&all, units);
            at[var as usize] = unit * UNIT;
            for point in &users[var as usize] {
                take(&mut taken[*point as usize], unit, units);
            }
        }
        Homes { at, rank }
    }
}

/// Bytes of the smallest value.
const UNIT: u32 = 4;

/// The first of the lowest `units` units that are free, a multiple of `units`, which is a power of two.
fn free(taken: &[u64], units: u32) -> u32 {
    let first_of_each = u64::MAX / ((1 << units) - 1);
    for (at, word) in (0..).zip(taken) {
        let mut free = !word;
        (1..units).for_each(|by| free &= !word >> by);
        free &= first_of_each;
        if free != 0 {
            return at * 64 + free.trailing_zeros();
        }
    }
    taken.len() as u32 * 64
}

fn take(taken: &mut Vec<u64>, unit: u32, units: u32) {
    let word = (unit / 64) as usize;
    taken.resize(taken.len().max(word + 1), 0);
    taken[word] |= ((1u64 << units) - 1) << (unit % 64);
}

fn layout(graph: &Graph, homes: &Homes, tree: &mut Tree, live: Vec<(u32, Var)>) -> Layout {
    let mut layout = Layout { last: NONE, ..Layout::default() };
    let mut end = 0;
    for (level, var) in live {
        let ty = kind(graph.vars[var as usize]);
        let at = if ty.is_reference() {
            layout.references += 1;
            layout.references - 1
        } else {
            let at = homes.at[var as usize];
            layout.last = tree.add(layout.last, var, ty, at);
            end = end.max(at + ty.frame_bytes());
            at
        };
        layout.values.push(Value { var, ty, level, at });
    }
    if let Some(last) = tree.nodes.get_mut(layout.last as usize) {
        last.successors += 1;
    }
    layout.values.sort_by_key(|value| value.level);
    layout.bytes = end.next_multiple_of(8);
    layout
}

impl Layout {
    /// Variables that are references, with their index from the frame's first element.
    pub fn references(&self) -> impl Iterator<Item = (Var, ValType, u32)> + '_ {
        let references = self.values.iter().filter(|value| value.ty.is_reference());
        references.map(|value| (value.var, value.ty, value.at))
    }

    /// The fields as the metadata gives them, ordered by place.
    pub fn fields(&self, graph: &Graph) -> Vec<Field> {
        let mut fields: Vec<Field> = self
            .values
            .iter()
            .map(|value| Field { ty: value.ty, at: value.at, place: graph.place(value.var) })
            .collect();
        fields.sort_unstable_by_key(|field| field.place);
        fields
    }

    /// The values of one level with their byte offsets, and the references with their index among
    /// the frame's.
    pub fn at_level(&self, level: u32) -> (Placed, Placed) {
        let first = self.values.partition_point(|value| value.level < level);
        let values = self.values[first..].iter().take_while(|value| value.level == level);
        let (references, plain): (Vec<&Value>, Vec<&Value>) =
            values.partition(|value| value.ty.is_reference());
        let pairs =
            |values: Vec<&Value>| values.iter().map(|value| (value.var, value.at)).collect();
        (pairs(plain), pairs(references))
    }
}
