//! Decides where a function can be resumed and how control gets there.
//!
//! The outcome is a second graph, the *flow*: the blocks of the original function, every checked
//! function entry and loop header split into a check and a body, and the cold nodes that spill a
//! frame and rebuild it. The rewriting only writes it down.
//!
//! # How a frame is rebuilt
//!
//! A function that is called with the fuel [`REWIND`](crate::abi::REWIND) fails its entry check,
//! and the cold path dispatches on the frame's resume point. A point inside a loop must not be
//! jumped to from outside (the loop would no longer have one entry), so the dispatch enters the
//! loop at its header, still with that fuel; the header's check fails likewise, and its cold path,
//! which is inside the loop, dispatches further in. No test is added to the fast path.
//!
//! # Where a value is reloaded
//!
//! Each dispatch on the way can reload values. One that is live at a loop header must be reloaded
//! outside that loop: an edge inside it that sets the value would make a loop invariant vary. One
//! that is not must be reloaded inside, or it would become live round the loop. So a value is
//! reloaded at the innermost dispatch that is outside all loops, counted from the point outwards,
//! at whose headers it is live.

mod dispatch;
pub(crate) mod frames;

use std::collections::HashMap;

use crate::abi::limits;
use crate::analyse::Analysis;
use crate::analyse::callgraph::CanPause;
use crate::analyse::liveness;
use crate::analyse::order::NONE;
use crate::analyse::tails;
use crate::error::{Error, ErrorKind};
use crate::facts::ModuleFacts;
use crate::graph::build::Body;
use crate::graph::{BlockId, Call, End, Graph, HandlersId, NO_HANDLERS, Var};
use crate::metadata::{PointKind, ValType};
use frames::{Branch, Layout, Placed, Tree};

/// Index into [`Plan::nodes`].
pub(crate) type NodeId = u32;

/// How a function is rewritten.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The flow; node 0 is the entry.
    pub nodes: Vec<Node>,
    /// Where control enters each block ([`NONE`] for unreachable ones).
    pub entries: Vec<NodeId>,
    /// The resume points, the function's entry first; empty if it cannot pause.
    pub points: Vec<PlannedPoint>,
    /// The pause node of the call that ends each block, or [`NONE`].
    pub call_pauses: Vec<NodeId>,
    /// Blocks that end in a call whose results are returned as they are.
    pub tail_calls: Vec<bool>,
    /// Blocks that end in a call behind which so much can be paid without a check that returning
    /// from many such calls in a row could take the fuel down to the sentinels.
    pub clamps: Vec<bool>,
    /// Values in the frames of all points.
    pub values: usize,
    /// Entries of all dispatches, and loops around all points.
    pub targets: usize,
}

/// A node of the flow.
#[derive(Debug)]
pub(crate) enum Node {
    /// A block of the original function, paying `charge` first.
    Body { block: BlockId, charge: i64 },
    /// Pays `charge` and goes on at `ok`, or at `cold` if the fuel cannot pay.
    Check { charge: i64, ok: NodeId, cold: NodeId },
    /// Goes on at `dispatch` if the frame is being rebuilt, else at `pause`.
    Rewind { dispatch: NodeId, pause: NodeId },
    /// Goes on at the target of the frame's resume point, numbered from `first`.
    Dispatch { first: u32, targets: Vec<NodeId> },
    /// Reloads values and goes on.
    Load(Load),
    /// Begins to write the frame of a point.
    Pause { point: u32, next: NodeId },
    /// Writes values, given with their byte offsets, into the frame.
    Save { values: Vec<(Var, ValType, u32)>, next: NodeId },
    /// Writes the frame's trailer and returns.
    Leave,
    /// Throws the exception that has come out of a callee, which the driver has caught.
    Rethrow { handlers: HandlersId },
}

/// Reloading values from the innermost frame.
#[derive(Debug)]
pub(crate) struct Load {
    /// Whether the frame's address is to be fetched first, for this and for what follows.
    pub base: bool,
    /// What is reloaded.
    pub values: Placed,
    /// References that are.
    pub references: Placed,
    /// What is set to zero.
    pub zeros: Vec<Var>,
    /// The point that is reached, if this is the last load on the way: takes the callee's results.
    pub finish: Option<u32>,
    /// What becomes of the fuel.
    pub fuel: Fuel,
    /// Where it goes on if the callee has thrown.
    pub thrown: Option<NodeId>,
    /// Where it goes on.
    pub target: NodeId,
}

/// What a [`Load`] does with the fuel, which says that the frame is being rebuilt until the point is
/// reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fuel {
    /// Nothing.
    Keep,
    /// Fetches the real one for those that [`Fuel::Take`] it.
    Fetch,
    /// Takes what has been fetched.
    Take,
    /// Fetches it and takes it at once.
    FetchAndTake,
}

/// A resume point.
#[derive(Debug)]
pub(crate) struct PlannedPoint {
    /// What it is.
    pub kind: PointKind,
    /// Its byte offset in the original module.
    pub offset: u32,
    /// What has been paid in advance there.
    pub prepaid: u64,
    /// Its frame.
    pub layout: Layout,
    /// For a call, its type index and the height of the operand stack below its results.
    pub call: Option<(u32, u32)>,
    /// Loops around it, outermost first; a loop header's own is not among them.
    loops: Vec<u32>,
    /// The block it goes on at.
    block: BlockId,
    /// For a call, where its exceptions are caught.
    handlers: HandlersId,
}

/// A function whose frames have more values than this writes what they have in common by the same
/// code everywhere. To write one takes ten bytes or so, and wasmtime takes no more than
/// [`limits::FUNCTION_BYTES_MAX`] of a function; of the programs in `bench` none comes near.
const UNSHARED_VALUES_MAX: usize = 1 << 18;

/// Plans the rewriting of a function.
///
/// # Errors
/// When it has more resume points with more live values than there is a limit for.
pub(crate) fn plan(
    body: &Body,
    analysis: &Analysis,
    (can_pause, facts): (&CanPause, &ModuleFacts),
    function: u32,
) -> Result<Plan, Error> {
    let graph = &body.graph;
    let count = graph.blocks.len();
    let mut planner = Planner {
        facts,
        graph,
        analysis,
        plan: Plan {
            nodes: Vec::new(),
            entries: vec![NONE; count],
            points: Vec::new(),
            call_pauses: vec![NONE; count],
            tail_calls: vec![false; count],
            clamps: vec![false; count],
            values: 0,
            targets: 0,
        },
        tree: Tree::default(),
        live: Vec::new(),
        rethrows: HashMap::new(),
        caught: HashMap::new(),
        point_of: vec![NONE; count],
        bodies: vec![NONE; count],
        values: 0,
        values_max: limits::frame_values(body.code_bytes as usize),
        targets: 0,
    };
    let resumable = can_pause.function(function);
    if resumable {
        planner.find_points(can_pause, function, body.code_offset);
        planner.find_clamps();
    }
    if planner.values > planner.values_max {
        return Err(too_many("values live at resume points", planner.values_max));
    }
    planner.lay_out();
    if planner.targets <= limits::DISPATCH_TARGETS_MAX {
        planner.nodes(resumable);
    }
    if planner.targets > limits::DISPATCH_TARGETS_MAX {
        return Err(too_many("resume points inside loops", limits::DISPATCH_TARGETS_MAX));
    }
    if planner.plan.nodes.len() > limits::NODES_MAX {
        return Err(too_many("blocks", limits::NODES_MAX));
    }
    (planner.plan.values, planner.plan.targets) = (planner.values, planner.targets);
    Ok(planner.plan)
}

pub(crate) fn too_many(what: &str, limit: usize) -> Error {
    Error::new(ErrorKind::Limit, format!("more {what} than {limit}; split the function"))
}

struct Planner<'a> {
    facts: &'a ModuleFacts,
    graph: &'a Graph,
    analysis: &'a Analysis,
    plan: Plan,
    /// For every point the live variables and the levels of the dispatches that reload them, until
    /// the frames are laid out.
    live: Vec<Vec<(u32, Var)>>,
    tree: Tree,
    rethrows: HashMap<HandlersId, NodeId>,
    caught: HashMap<HandlersId, Caught>,
    /// The point of the call that ends a block.
    point_of: Vec<u32>,
    bodies: Vec<NodeId>,
    /// Values in all frames so far.
    values: usize,
    /// How many there can be.
    values_max: usize,
    /// Entries of all dispatches so far, and loops around all points.
    targets: usize,
}

/// Where exceptions are caught: the loops around the innermost handler, and the locals that are live
/// at any of them.
#[derive(Default)]
struct Caught {
    loops: Vec<u32>,
    live: Vec<Var>,
}

impl Planner<'_> {
    fn find_points(&mut self, can_pause: &CanPause, function: u32, code_offset: u32) {
        let params = self.analysis.live.live_in(0).filter(|local| *local < self.graph.params);
        let params: Vec<Var> = params.collect();
        self.add_point(PointKind::Entry, code_offset, 0, &params, None, Vec::new(), 0);
        for &block in &self.analysis.order {
            if self.analysis.loops.headed_by(block).is_some() {
                let offset = self.graph.blocks[block as usize].header.unwrap_or(0);
                let live = self.live_at(block, usize::MAX);
                let mut outer = self.analysis.loops.around(block);
                outer.pop();
                self.add_point(PointKind::Loop, offset, 0, &live, None, outer, block);
            }
            if self.values > self.values_max || self.targets > limits::DISPATCH_TARGETS_MAX {
                // The plan is given up.
                return;
            }
            let End::Call { call, next } = self.graph.blocks[block as usize].end else { continue };
            if !can_pause.call(call.callee, call.ty) {
                continue;
            }
            let below = self.graph.blocks[block as usize].stack_out.len();
            if can_pause.frameless(function, call) && tails::is_tail_call(self.graph, block) {
                self.plan.tail_calls[block as usize] = true;
                continue;
            }
            let (loops, live) = self.continuations(call, next, below);
            let ahead = self.analysis.charges.ahead[next as usize];
            self.point_of[block as usize] = self.plan.points.len() as u32;
            let shape = Some((call.ty, below as u32));
            self.add_point(PointKind::Call, call.offset, ahead, &live, shape, loops, next);
            if let Some(point) = self.plan.points.last_mut() {
                point.handlers = call.handlers;
            }
        }
    }

    /// The loops around where a call goes on, by returning or by throwing, and what is live there.
    /// Such places may have left some of the call's loops, but they are nested: those of the
    /// innermost count.
    fn continuations(&mut self, call: Call, next: BlockId, below: usize) -> (Vec<u32>, Vec<Var>) {
        let mut loops = self.analysis.loops.around(next);
        let mut live = self.live_at(next, below);
        if call.handlers != NO_HANDLERS {
            let caught = self.caught(call.handlers);
            if caught.loops.len() > loops.len() {
                loops.clone_from(&caught.loops);
            }
            live.extend(&caught.live);
            live.sort_unstable();
            live.dedup();
        }
        (loops, live)
    }

    /// The same of handlers alone. Many calls share theirs.
    fn caught(&mut self, handlers: HandlersId) -> &Caught {
        let (analysis, list) = (self.analysis, &self.graph.handlers[handlers as usize]);
        self.caught.entry(handlers).or_insert_with(|| {
            let mut caught = Caught::default();
            let mut live = vec![0u64; (self.graph.locals as usize).div_ceil(64)];
            for handler in list {
                let around = analysis.loops.around(handler.block);
                if around.len() > caught.loops.len() {
                    caught.loops = around;
                }
                let words = live.iter_mut().zip(analysis.live.words(handler.block));
                words.for_each(|(all, own)| *all |= own);
            }
            caught.live = liveness::locals(&live).collect();
            caught
        })
    }

    /// The live variables on entry to a block, of the operands only those below `height`.
    fn live_at(&self, block: BlockId, height: usize) -> Vec<Var> {
        let mut live: Vec<Var> = self.analysis.live.live_in(block).collect();
        let stack = &self.graph.blocks[block as usize].stack_in;
        for (at, ty) in stack.iter().enumerate().take(height) {
            live.push(self.graph.known_slot(at as u32, *ty));
        }
        live
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a point")]
    fn add_point(
        &mut self,
        kind: PointKind,
        offset: u32,
        prepaid: u64,
        live: &[Var],
        call: Option<(u32, u32)>,
        loops: Vec<u32>,
        block: BlockId,
    ) {
        self.values += live.len();
        self.targets += loops.len();
        if self.values > self.values_max || self.targets > limits::DISPATCH_TARGETS_MAX {
            return;
        }
        self.live.push(live.iter().map(|var| (self.level(*var, &loops), *var)).collect());
        let layout = Layout::default();
        let handlers = NO_HANDLERS;
        let point = PlannedPoint { kind, offset, prepaid, layout, call, loops, block, handlers };
        self.plan.points.push(point);
    }

    /// See [`limits::RETURN_STEPS_MAX`].
    fn find_clamps(&mut self) {
        let mut longest = vec![0u64; self.graph.blocks.len()];
        for &block in self.analysis.order.iter().rev() {
            let at = block as usize;
            let body = &self.graph.blocks[at];
            let is_call = matches!(body.end, End::Call { .. });
            // What can pause checks the fuel before it does anything.
            let checked = is_call && self.point_of[at] != NONE;
            let callee = if is_call { limits::UNCHECKED_STEPS_MAX } else { 0 };
            let mut behind = 0;
            self.graph.successors(block, |next| {
                if self.analysis.loops.headed_by(next).is_none() {
                    behind = longest[next as usize].max(behind);
                }
            });
            self.plan.clamps[at] = checked && behind > limits::RETURN_STEPS_MAX;
            longest[at] = body.cost + if checked { 0 } else { callee + behind };
        }
    }

    fn lay_out(&mut self) {
        let (layouts, tree) = frames::layouts(self.graph, std::mem::take(&mut self.live));
        self.tree = tree;
        for (point, layout) in self.plan.points.iter_mut().zip(layouts) {
            point.layout = layout;
        }
    }

    /// The dispatch that reloads a variable of a point inside `loops`: 0 at the function's entry,
    /// `i` at the header of the `i`-th loop.
    fn level(&self, var: Var, loops: &[u32]) -> u32 {
        let mut level = loops.len();
        while level > 0 {
            let header = self.analysis.loops.loops[loops[level - 1] as usize].header;
            let live = if var < self.graph.locals {
                self.analysis.live.is_live(header, var)
            } else {
                self.graph.on_stack(&self.graph.blocks[header as usize].stack_in, var)
            };
            if !live {
                break;
            }
            level -= 1;
        }
        level as u32
    }

    fn node(&mut self, node: Node) -> NodeId {
        self.plan.nodes.push(node);
        (self.plan.nodes.len() - 1) as NodeId
    }

    fn rethrow(&mut self, handlers: HandlersId) -> NodeId {
        if let Some(node) = self.rethrows.get(&handlers) {
            return *node;
        }
        let node = self.node(Node::Rethrow { handlers });
        self.rethrows.insert(handlers, node);
        node
    }

    fn nodes(&mut self, resumable: bool) {
        if resumable {
            // Node 0; its successors are filled in below.
            self.node(Node::Check { charge: 0, ok: 0, cold: 0 });
        }
        for &block in &self.analysis.order {
            let charge = self.analysis.charges.charge[block as usize];
            let checked = self.analysis.loops.headed_by(block).is_some();
            let paid = checked || (resumable && block == 0);
            let body = self.node(Node::Body { block, charge: if paid { 0 } else { charge } });
            self.bodies[block as usize] = body;
            self.plan.entries[block as usize] = body;
            if checked {
                let check = self.node(Node::Check { charge, ok: body, cold: 0 });
                self.plan.entries[block as usize] = check;
            }
        }
        if !resumable {
            return;
        }
        let pauses = self.pauses();
        for (block, point) in self.point_of.iter().enumerate() {
            if *point != NONE {
                self.plan.call_pauses[block] = pauses[*point as usize];
            }
        }
        let charge = self.analysis.charges.charge[0];
        // A resumed entry is checked again, with the fuel of the new slice.
        let again = self.node(Node::Check { charge, ok: self.bodies[0], cold: pauses[0] });
        let all: Vec<u32> = (0..self.plan.points.len() as u32).collect();
        let dispatch = self.dispatch(&all, 0, again);
        let cold = self.node(Node::Rewind { dispatch, pause: pauses[0] });
        self.plan.nodes[0] = Node::Check { charge, ok: self.bodies[0], cold };
        let mut inside = vec![Vec::new(); self.analysis.loops.loops.len()];
        for (number, point) in (0..).zip(&self.plan.points) {
            point.loops.iter().for_each(|around| inside[*around as usize].push(number));
        }
        for (point, pause) in pauses.into_iter().enumerate() {
            if self.plan.points[point].kind == PointKind::Loop {
                self.loop_cold_path(point, &inside, pause, again);
            }
        }
    }

    /// The nodes that write the frames. What frames have in common is written by the same nodes, but
    /// for points inside loops: there all that is live would have to be in the same places at all
    /// such points, and the loop pays for it. It does so where a function would not fit otherwise:
    /// see [`UNSHARED_VALUES_MAX`].
    fn pauses(&mut self) -> Vec<NodeId> {
        let leave = self.node(Node::Leave);
        let apart = self.values <= UNSHARED_VALUES_MAX;
        let mut shared: HashMap<Branch, NodeId> = HashMap::new();
        (0..self.plan.points.len())
            .map(|number| {
                let point = &self.plan.points[number];
                let (last, inside) = (point.layout.last, !point.loops.is_empty());
                let next = match last {
                    NONE => leave,
                    last if inside && apart => {
                        let values = self.tree.path(last);
                        self.node(Node::Save { values, next: leave })
                    }
                    last => self.save(last, leave, &mut shared),
                };
                self.node(Node::Pause { point: number as u32, next })
            })
            .collect()
    }

    /// The node that writes the values from `last` to the root of the tree, and then goes on at
    /// `leave`; `shared` are those that have been made.
    fn save(
        &mut self,
        last: Branch,
        leave: NodeId,
        shared: &mut HashMap<Branch, NodeId>,
    ) -> NodeId {
        // Up to what is there already, and then down again, as a node must know the next one.
        let mut path = Vec::new();
        let mut at = last;
        while at != NONE && !shared.contains_key(&at) {
            let (values, parent) = self.tree.run(at);
            path.push((at, values));
            at = parent;
        }
        let mut next = shared.get(&at).copied().unwrap_or(leave);
        for (branch, values) in path.into_iter().rev() {
            next = self.node(Node::Save { values, next });
            shared.insert(branch, next);
        }
        next
    }

    /// The cold path of the loop header at `point`; `inside` are the points in each loop.
    fn loop_cold_path(&mut self, point: usize, inside: &[Vec<u32>], pause: NodeId, again: NodeId) {
        let header = self.plan.points[point].block;
        let this = self.analysis.loops.innermost[header as usize];
        let depth = self.plan.points[point].loops.len();
        let inside = &inside[this as usize];
        let cold = if inside.is_empty() {
            pause
        } else {
            let dispatch = self.dispatch(inside, depth + 1, again);
            self.node(Node::Rewind { dispatch, pause })
        };
        let check = self.plan.entries[header as usize];
        if let Node::Check { cold: target, .. } = &mut self.plan.nodes[check as usize] {
            *target = cold;
        }
    }
}
