//! From the flow back to structured control instructions.
//!
//! Every node is placed where its immediate dominator is: inline where it has one predecessor,
//! else behind a `block` that its predecessors leave by `br`; a node with a back edge becomes a
//! `loop`. Norman Ramsey, "Beyond Relooper: Recursive Translation of Unstructured Control Flow to
//! Structured Control Flow" (ICFP 2022). The flow is reducible by construction.

use walrus::ir::{self, InstrSeqId};

use super::code::Code;
use super::function::Rewriter;
use crate::analyse::order::{self, NONE};
use crate::graph::End;
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
    /// The open label of each node.
    labels: Vec<Option<InstrSeqId>>,
}

impl Shape {
    /// Computes the shape of a plan's flow.
    pub fn new(plan: &Plan, ends: impl Fn(u32) -> End) -> Shape {
        let count = plan.nodes.len();
        let mut labelled = vec![false; count];
        let mut successors = Vec::with_capacity(count);
        for node in &plan.nodes {
            let list = node_successors(plan, node, &ends);
            // Switches can only branch to labels.
            let switch = match node {
                Node::Dispatch { .. } => true,
                Node::Body { block, .. } => matches!(ends(*block), End::Switch { .. }),
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
        Shape { position, placed, labelled, header, labels: vec![None; count] }
    }
}

fn node_successors(plan: &Plan, node: &Node, ends: impl Fn(u32) -> End) -> Vec<NodeId> {
    match node {
        Node::Body { block, .. } => {
            if plan.tail_calls[*block as usize] {
                return Vec::new();
            }
            let mut list = Vec::new();
            ends(*block).successors(|next| list.push(plan.entries[next as usize]));
            let spill = plan.call_spills[*block as usize];
            if spill != NONE {
                list.push(spill);
            }
            list
        }
        Node::Check { ok, cold, .. } => vec![*ok, *cold],
        Node::Rewind { dispatch, spill } => vec![*dispatch, *spill],
        Node::Dispatch { targets, .. } => {
            targets.iter().copied().filter(|target| *target != NONE).collect()
        }
        Node::Load(load) => vec![load.target],
        Node::Spill { .. } => Vec::new(),
    }
}

impl Rewriter<'_> {
    /// Writes a node and everything it dominates.
    pub(super) fn tree(&mut self, node: NodeId, out: &mut Code) {
        let mut next = Some(node);
        // A loop rather than recursion for what follows in sequence, however long that is.
        while let Some(node) = next {
            if self.shape.header[node as usize] && !self.is_open(node) {
                let outer = self.shape.labels[node as usize];
                let seq = self.sequence();
                self.shape.labels[node as usize] = Some(seq);
                self.opened[node as usize] = true;
                let mut body = Code::default();
                self.tree(node, &mut body);
                self.opened[node as usize] = false;
                self.shape.labels[node as usize] = outer;
                self.fill(seq, body);
                out.push(ir::Loop { seq });
                return;
            }
            next = self.within(node, out);
        }
    }

    fn is_open(&self, node: NodeId) -> bool {
        self.opened[node as usize]
    }

    /// Writes a node inside the blocks whose ends are where the nodes that it dominates are
    /// placed. Returns the node that is to follow right here.
    fn within(&mut self, node: NodeId, out: &mut Code) -> Option<NodeId> {
        let placed = std::mem::take(&mut self.shape.placed[node as usize]);
        if placed.is_empty() {
            return self.node(node, out);
        }
        let seqs: Vec<InstrSeqId> = placed
            .iter()
            .map(|child| {
                let seq = self.sequence();
                self.shape.labels[*child as usize] = Some(seq);
                seq
            })
            .collect();
        let mut code = Code::default();
        if let Some(next) = self.node(node, &mut code) {
            self.tree(next, &mut code);
        }
        for (at, child) in placed.iter().enumerate().rev() {
            self.fill(seqs[at], code);
            code = Code::default();
            // The label is closed from here on; a loop header gets its loop's.
            self.shape.labels[*child as usize] = None;
            if at == 0 {
                out.push(ir::Block { seq: seqs[0] });
                return Some(*child);
            }
            code.push(ir::Block { seq: seqs[at] });
            self.tree(*child, &mut code);
        }
        None
    }

    /// Goes to a node: by `br` to its label, or by being followed by it.
    pub(super) fn goto(&mut self, node: NodeId, out: &mut Code) -> Option<NodeId> {
        match self.label(node) {
            Some(label) => {
                out.br(label);
                None
            }
            None => Some(node),
        }
    }

    /// Goes to a node if the condition on the stack holds, and falls through otherwise.
    pub(super) fn goto_if(&mut self, node: NodeId, out: &mut Code) {
        match self.label(node) {
            Some(label) => out.br_if(label),
            None => {
                let seq = self.sequence();
                let mut code = Code::default();
                self.tree(node, &mut code);
                self.fill(seq, code);
                let nothing = self.sequence();
                out.if_then(seq, nothing);
            }
        }
    }

    /// Goes to a node if the fuel is below a limit, which is hardly ever so.
    ///
    /// `block; fuel >= limit; br_if 0; <node>; end` rather than an `if`: walrus writes an `else`
    /// for every `if`, which makes one more block in the compiler.
    pub(super) fn goto_if_below(&mut self, limit: i64, node: NodeId, out: &mut Code) {
        match self.label(node) {
            Some(label) => {
                out.fuel_below(self.fuel, limit);
                out.br_if(label);
            }
            None => {
                let seq = self.sequence();
                let mut code = Code::default();
                code.fuel_suffices(self.fuel, limit);
                code.br_if(seq);
                self.tree(node, &mut code);
                self.fill(seq, code);
                out.push(ir::Block { seq });
            }
        }
    }

    /// The label to branch to for a node, unless it is to be placed inline.
    pub(super) fn label(&self, node: NodeId) -> Option<InstrSeqId> {
        let needs = self.shape.labelled[node as usize] || self.opened[node as usize];
        let label = self.shape.labels[node as usize];
        debug_assert!(!needs || label.is_some(), "node {node} is branched to out of its scope");
        if needs { label } else { None }
    }

    /// Position of a node in the flow's order, for assertions.
    pub(super) fn is_placed(&self, node: NodeId) -> bool {
        self.shape.position[node as usize] != NONE
    }
}
