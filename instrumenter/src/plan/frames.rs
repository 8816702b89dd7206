//! What a frame looks like.
//!
//! The frames of a function's points are laid out as one tree. A path from its root is a sequence of
//! values, each behind the one before; a point's frame is the path of its live values, those first
//! that are reloaded furthest out, and of these those first that are live at most points. So points
//! with much in common share a long beginning, at the same offsets, and the code that writes it.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{Load, NodeId};
use crate::analyse::order::NONE;
use crate::graph::{Graph, Var};
use crate::metadata::{Field, ValType};
use crate::types::kind;

/// Index into the nodes of a [`Tree`].
pub(crate) type Branch = u32;

/// The layout of the frame of a resume point.
#[derive(Debug, Default)]
pub(crate) struct Layout {
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
    fn add(&mut self, parent: Branch, var: Var, ty: ValType) -> Branch {
        if let Some(node) = self.known.get(&(parent, var)) {
            return *node;
        }
        let at = self.end(parent);
        let node = self.nodes.len() as Branch;
        if let Some(parent) = self.nodes.get_mut(parent as usize) {
            parent.successors += 1;
        }
        self.nodes.push(TreeNode { parent, var, ty, at, successors: 0 });
        self.known.insert((parent, var), node);
        node
    }

    /// The first byte behind a node.
    fn end(&self, node: Branch) -> u32 {
        self.nodes.get(node as usize).map_or(0, |node| node.at + node.ty.frame_bytes())
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
    let mut count = vec![0u32; graph.vars.len()];
    points.iter().flatten().for_each(|(_, var)| count[*var as usize] += 1);
    let mut tree = Tree::default();
    let layouts = points
        .into_iter()
        .map(|mut live| {
            live.sort_unstable_by_key(|(level, var)| (*level, Reverse(count[*var as usize]), *var));
            layout(graph, &mut tree, live)
        })
        .collect();
    (layouts, tree)
}

fn layout(graph: &Graph, tree: &mut Tree, live: Vec<(u32, Var)>) -> Layout {
    let mut layout = Layout { last: NONE, ..Layout::default() };
    for (level, var) in live {
        let ty = kind(graph.vars[var as usize]);
        let at = if ty.is_reference() {
            layout.references += 1;
            layout.references - 1
        } else {
            layout.last = tree.add(layout.last, var, ty);
            tree.nodes[layout.last as usize].at
        };
        layout.values.push(Value { var, ty, level, at });
    }
    if let Some(last) = tree.nodes.get_mut(layout.last as usize) {
        last.successors += 1;
    }
    layout.bytes = tree.end(layout.last).next_multiple_of(8);
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

    /// The load of the values of one level.
    pub fn load(&self, level: u32, finish: Option<u32>, target: NodeId) -> Load {
        let chosen = || self.values.iter().filter(move |value| value.level == level);
        let plain = chosen().filter(|value| !value.ty.is_reference());
        let references = chosen().filter(|value| value.ty.is_reference());
        Load {
            values: plain.map(|value| (value.var, value.at)).collect(),
            references: references.map(|value| (value.var, value.at)).collect(),
            finish,
            thrown: None,
            target,
        }
    }
}
