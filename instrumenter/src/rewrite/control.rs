//! From the flow back to structured control instructions.
//!
//! Every node is placed where its immediate dominator is: inline where it has one predecessor,
//! else behind a `block` that its predecessors leave by `br`; a node with a back edge becomes a
//! `loop`. Norman Ramsey, "Beyond Relooper: Recursive Translation of Unstructured Control Flow to
//! Structured Control Flow" (ICFP 2022). The flow is reducible by construction.

use super::code::Label;
use super::function::Rewriter;
use crate::analyse::order::{self, NONE};
use crate::graph::{End, Graph};
use crate::plan::{Node, NodeId, Plan};

/// How the nodes of a flow nest.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Position in reverse postorder.
    position: Vec<u32>,
    /// Nodes that need a label behind which they are placed, by immediate dominator; the last in
    /// reverse postorder comes first.
    placed: Vec<Vec<NodeId>>,
    /// Entered by `br` to a block.
    labelled: Vec<bool>,
    /// Has a back edge.
    header: Vec<bool>,
    /// Is a loop that is open.
    opened: Vec<bool>,
    /// The open label of each node.
    labels: Vec<Option<Label>>,
}

impl Shape {
    /// Computes the shape of a plan's flow.
    pub fn new(plan: &Plan, graph: &Graph) -> Shape {
        let count = plan.nodes.len();
        let mut labelled = vec![false; count];
        let mut successors = Vec::with_capacity(count);
        for node in &plan.nodes {
            let list = node_successors(plan, graph, node);
            // Switches can only branch to labels.
            let switch = match node {
                Node::Dispatch { .. } => true,
                Node::Body { block, .. } => {
                    matches!(graph.blocks[*block as usize].end, End::Switch { .. })
                }
                _ => false,
            };
            if switch {
                list.iter().for_each(|target| labelled[*target as usize] = true);
            }
            successors.push(list);
        }
        let (order, position) = order::reverse_postorder(&successors);
        let predecessors = order::predecessors(&successors, &order);
        let dominators = order::immediate_dominators(&order, &position, &predecessors);
        let mut header = vec![false; count];
        let mut placed: Vec<Vec<NodeId>> = vec![Vec::new(); count];
        for &node in order.iter().rev() {
            let at = position[node as usize];
            let all = &predecessors[node as usize];
            let forward = all.iter().filter(|from| position[**from as usize] < at).count();
            header[node as usize] = forward < all.len();
            labelled[node as usize] |= forward > 1;
            if labelled[node as usize] && node != 0 {
                placed[dominators[node as usize] as usize].push(node);
            }
        }
        let (opened, labels) = (vec![false; count], vec![None; count]);
        Shape { position, placed, labelled, header, opened, labels }
    }
}

fn node_successors(plan: &Plan, graph: &Graph, node: &Node) -> Vec<NodeId> {
    match node {
        Node::Body { block, .. } => {
            if plan.tail_calls[*block as usize] {
                return Vec::new();
            }
            let mut list = Vec::new();
            graph.successors(*block, |next| list.push(plan.entries[next as usize]));
            let pause = plan.call_pauses[*block as usize];
            if pause != NONE {
                list.push(pause);
            }
            list
        }
        Node::Check { ok, cold, .. } => vec![*ok, *cold],
        Node::Rewind { dispatch, pause } => vec![*dispatch, *pause],
        Node::Dispatch { targets, .. } => {
            targets.iter().copied().filter(|target| *target != NONE).collect()
        }
        Node::Load(load) => [Some(load.target), load.thrown].into_iter().flatten().collect(),
        Node::Rethrow { handlers } => graph.handlers[*handlers as usize]
            .iter()
            .map(|handler| plan.entries[handler.block as usize])
            .collect(),
        Node::Pause { next, .. } | Node::Save { next, .. } => vec![*next],
        Node::Leave => Vec::new(),
    }
}

impl Rewriter<'_> {
    /// Writes a node and everything it dominates.
    pub(super) fn tree(&mut self, node: NodeId) {
        let mut next = Some(node);
        // A loop rather than recursion for what follows in sequence, however long that is.
        while let Some(node) = next {
            let at = node as usize;
            if self.shape.header[at] && !self.shape.opened[at] {
                let outer = self.shape.labels[at];
                self.shape.labels[at] = Some(self.out.loop_());
                self.shape.opened[at] = true;
                self.tree(node);
                self.shape.opened[at] = false;
                self.shape.labels[at] = outer;
                self.out.end();
                return;
            }
            next = self.within(node);
        }
    }

    /// Writes a node inside the blocks whose ends are where the nodes that it dominates are
    /// placed. Returns the node that is to follow right here.
    fn within(&mut self, node: NodeId) -> Option<NodeId> {
        let placed = std::mem::take(&mut self.shape.placed[node as usize]);
        if placed.is_empty() {
            return self.node(node);
        }
        for child in &placed {
            self.shape.labels[*child as usize] = Some(self.out.block());
        }
        if let Some(next) = self.node(node) {
            self.tree(next);
        }
        for (at, child) in placed.iter().enumerate().rev() {
            self.out.end();
            // The label is closed from here on; a loop header gets its loop's.
            self.shape.labels[*child as usize] = None;
            if at == 0 {
                return Some(*child);
            }
            self.tree(*child);
        }
        None
    }

    /// Goes to a node: by `br` to its label, or by being followed by it.
    pub(super) fn goto(&mut self, node: NodeId) -> Option<NodeId> {
        match self.label(node) {
            Some(label) => {
                self.out.br(label);
                None
            }
            None => Some(node),
        }
    }

    /// Goes to a node and writes it right here if it is to be placed inline.
    pub(super) fn leave_to(&mut self, node: NodeId) {
        if let Some(next) = self.goto(node) {
            self.tree(next);
        }
    }

    /// Goes to a node if the condition on the stack holds, and falls through otherwise.
    pub(super) fn goto_if(&mut self, node: NodeId) {
        match self.label(node) {
            Some(label) => self.out.br_if(label),
            None => {
                self.out.if_();
                self.tree(node);
                self.out.end();
            }
        }
    }

    /// Goes to a node if the fuel is below a limit, which is hardly ever so.
    ///
    /// The cold code must be the branch's first target. Cranelift looks at the targets in reverse,
    /// and once it has come to one that is outside of a loop, as cold code is, it takes no more of
    /// what follows out of that loop, not even the base of the memory.
    pub(super) fn goto_if_below(&mut self, limit: i64, node: NodeId) {
        match self.label(node) {
            Some(label) => {
                self.out.fuel_below(self.fuel, limit);
                self.out.br_if_hinted(label, false);
            }
            None => {
                self.out.fuel_below(self.fuel, limit);
                self.out.if_unlikely();
                self.tree(node);
                self.out.end();
            }
        }
    }

    /// The label to branch to for a node, unless it is to be placed inline.
    pub(super) fn label(&self, node: NodeId) -> Option<Label> {
        let at = node as usize;
        let needs = self.shape.labelled[at] || self.shape.opened[at];
        let label = self.shape.labels[at];
        debug_assert!(!needs || label.is_some(), "node {node} is branched to out of its scope");
        if needs { label } else { None }
    }

    /// Whether a node is placed behind a label, and so begins a block.
    pub(super) fn is_labelled(&self, node: NodeId) -> bool {
        self.shape.labelled[node as usize]
    }

    /// Whether a node is part of the flow, for assertions.
    pub(super) fn is_placed(&self, node: NodeId) -> bool {
        self.shape.position[node as usize] != NONE
    }
}
