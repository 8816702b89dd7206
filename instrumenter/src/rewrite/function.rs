//! Rewriting one function.

mod atomics;
mod calls;
mod resume;

use std::collections::HashMap;

use wasm_encoder::Instruction;

use super::code::{Body, Code, Local, Runtime};
use super::control::Shape;
use crate::abi;
use crate::analyse::order::NONE;
use crate::facts::ModuleFacts;
use crate::graph::{BlockId, End, Graph, Op, Var};
use crate::plan::{Node, NodeId, Plan};
use crate::types::WasmType;

/// What rewriting a function needs of its module.
#[derive(Debug)]
pub(crate) struct Shared<'a> {
    /// The original module.
    pub wasm: &'a [u8],
    /// What is known of it.
    pub facts: &'a ModuleFacts,
    /// What the instrumenter has added.
    pub runtime: Runtime,
    /// Index of the wrapper of the first imported function.
    pub wrappers: u32,
    /// Globals recording dropped data segments and element segments: the first of each.
    pub dropped: (u32, u32),
    /// Block types that leave the payload of each tag, without and with the exception itself.
    pub payloads: Vec<[wasm_encoder::BlockType; 2]>,
}

impl Shared<'_> {
    /// What to call for an original function: imported ones through their wrapper.
    pub fn callee(&self, function: u32) -> u32 {
        if function < self.facts.imported_functions { self.wrappers + function } else { function }
    }
}

/// Rewrites a function.
pub(super) struct Rewriter<'a> {
    shared: &'a Shared<'a>,
    graph: &'a Graph,
    plan: &'a Plan,
    slot: u32,
    first_point: u32,
    pub(super) out: Code,
    vars: Vec<Option<Local>>,
    pub(super) fuel: Local,
    temporaries: [Option<Local>; 6],
    /// Locals that hold operands while something is written around them.
    held: HashMap<(WasmType, u32), Local>,
    pub(super) shape: Shape,
}

/// Temporary locals by purpose.
#[derive(Debug, Clone, Copy)]
enum Temporary {
    /// A frame's address.
    Base,
    /// A condition, an index, a length.
    Index,
    /// The same, in 64 bits.
    WideIndex,
    /// The point and the number of references of the frame being written, as in its trailer.
    Point,
    /// Its bytes without the trailer.
    Bytes,
    /// The real fuel while a frame is being rebuilt.
    Fuel,
}

/// Identity of a function in frames.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    /// Its resume slot, if it has resume code.
    pub slot: Option<u32>,
    /// Module-wide number of its first resume point.
    pub first_point: u32,
}

/// Rewrites a function according to its plan.
pub(crate) fn rewrite(shared: &Shared<'_>, graph: &Graph, plan: &Plan, identity: Identity) -> Body {
    let mut vars = vec![None; graph.vars.len()];
    for param in 0..graph.params {
        vars[param as usize] = Some(Local(param));
    }
    let mut rewriter = Rewriter {
        shared,
        graph,
        plan,
        slot: identity.slot.unwrap_or(0),
        first_point: identity.first_point,
        out: Code::new(graph.params as usize + 1),
        vars,
        fuel: Local(graph.params),
        temporaries: [None; 6],
        held: HashMap::new(),
        shape: Shape::new(plan, graph),
    };
    rewriter.tree(0);
    // Every path has returned; this only tells the validator.
    rewriter.out.unreachable();
    rewriter.out.finish()
}

impl<'a> Rewriter<'a> {
    fn var(&mut self, var: Var) -> Local {
        let out = &mut self.out;
        let ty = self.graph.stored(self.graph.vars[var as usize]);
        *self.vars[var as usize].get_or_insert_with(|| out.local(ty))
    }

    fn temporary(&mut self, which: Temporary) -> Local {
        let out = &mut self.out;
        let ty = match which {
            Temporary::WideIndex | Temporary::Point | Temporary::Fuel => WasmType::I64,
            _ => WasmType::I32,
        };
        *self.temporaries[which as usize].get_or_insert_with(|| out.local(ty))
    }

    /// Writes one node; returns the node that is to follow inline.
    pub(super) fn node(&mut self, node: NodeId) -> Option<NodeId> {
        debug_assert!(self.is_placed(node));
        let plan = self.plan;
        match &plan.nodes[node as usize] {
            Node::Body { block, charge } => {
                self.out.pay(self.fuel, *charge);
                self.body(*block)
            }
            Node::Check { charge, ok, cold } => {
                self.goto_if_below(*charge, *cold);
                self.out.pay(self.fuel, *charge);
                self.goto(*ok)
            }
            Node::Rewind { dispatch, pause } => {
                self.goto_if_below(abi::SENTINEL_LIMIT, *dispatch);
                self.goto(*pause)
            }
            // Behind a hinted branch, which says that it is cold.
            Node::Dispatch { first, targets } => {
                self.dispatch(*first, targets);
                None
            }
            Node::Pause { point, next } => {
                let call = plan.points[*point as usize].call.is_some();
                self.cold(!call, |this| this.pause(*point, *next));
                None
            }
            Node::Load(load) => {
                self.cold_if_labelled(node, |this| this.load(load));
                None
            }
            Node::Save { values, next } => {
                self.cold_if_labelled(node, |this| this.save(values, *next));
                None
            }
            Node::Leave => {
                self.cold_if_labelled(node, |this| this.leave());
                None
            }
            Node::Rethrow { handlers } => {
                self.cold_if_labelled(node, |this| this.rethrow(*handlers));
                None
            }
        }
    }

    /// Writes a node that is only reached from cold code: if it is placed inline, it is part of the
    /// cold block before it.
    fn cold_if_labelled(&mut self, node: NodeId, write: impl FnOnce(&mut Self)) {
        let labelled = self.is_labelled(node);
        self.cold(labelled, write);
    }

    /// Writes code that never falls through such that Cranelift keeps it out of the hot code's
    /// way. Coldness does not propagate from a cold block to those behind it, so each is entered
    /// through a branch on a constant: the branch is folded away, its hint stays with the block.
    /// Where it follows a branch whose hint says so already, `entered` is false.
    fn cold(&mut self, entered: bool, write: impl FnOnce(&mut Self)) {
        if !entered {
            return write(self);
        }
        let past = self.out.block();
        self.out.i32(0);
        self.out.br_if_hinted(past, true);
        write(self);
        self.out.end();
        self.out.unreachable();
    }

    fn body(&mut self, block: BlockId) -> Option<NodeId> {
        let graph = self.graph;
        let body = &graph.blocks[block as usize];
        for height in body.low..body.stack_in.len() as u32 {
            let var = self.slot_of(&body.stack_in, height);
            self.out.get(var);
        }
        for op in graph.ops_of(body) {
            self.op(*op);
        }
        match &body.end {
            End::Jump { target, arity } => {
                self.jump(block, *target, *arity);
                self.goto(self.plan.entries[*target as usize])
            }
            End::Branch { then, otherwise } => {
                self.flush_below_index(block);
                let then = self.plan.entries[*then as usize];
                let otherwise = self.plan.entries[*otherwise as usize];
                if self.label(then).is_none() && self.label(otherwise).is_some() {
                    self.out.push(&Instruction::I32Eqz);
                    self.goto_if(otherwise);
                    return self.goto(then);
                }
                self.goto_if(then);
                self.goto(otherwise)
            }
            End::Switch { targets, default } => {
                self.flush_below_index(block);
                let entries = &self.plan.entries;
                let label = |target: &BlockId| {
                    self.label(entries[*target as usize]).expect("targets of a switch have labels")
                };
                let labels: Vec<_> = targets.iter().map(label).collect();
                let default = label(default);
                self.out.br_table(&labels, default);
                None
            }
            End::Return => {
                self.out.get(self.fuel);
                self.out.return_();
                None
            }
            End::Unreachable => {
                self.out.unreachable();
                None
            }
            End::Call { call, next } => self.call(block, *call, *next),
            End::TailCall(call) => {
                self.callee(*call, true);
                None
            }
            End::Throw { start, end, operands, handlers } => {
                let code = &self.shared.wasm[*start as usize..*end as usize];
                self.throw(block, code, operands, *handlers);
                None
            }
        }
    }

    fn slot_of(&mut self, stack: &[WasmType], height: u32) -> Local {
        let var = self.graph.known_slot(height, stack[height as usize]);
        self.var(var)
    }

    /// Moves the operands from `low` up to the stack's height into their slots.
    fn flush(&mut self, stack: &[WasmType], low: u32) {
        for height in (low..stack.len() as u32).rev() {
            let var = self.slot_of(stack, height);
            self.out.set(var);
        }
    }

    /// Flushes what is below the condition or index on top of the stack.
    fn flush_below_index(&mut self, block: BlockId) {
        let body = &self.graph.blocks[block as usize];
        if body.low as usize >= body.stack_out.len() {
            return;
        }
        let index = self.temporary(Temporary::Index);
        self.out.set(index);
        self.flush(&body.stack_out, body.low);
        self.out.get(index);
    }

    fn jump(&mut self, block: BlockId, target: BlockId, arity: u32) {
        let graph = self.graph;
        let body = &graph.blocks[block as usize];
        let stack = &body.stack_out;
        let wanted = &graph.blocks[target as usize].stack_in;
        if stack == wanted {
            return self.flush(stack, body.low);
        }
        let kept = stack.len() as u32 - arity;
        let base = wanted.len() as u32 - arity;
        for at in (0..arity).rev() {
            let var = self.slot_of(wanted, base + at);
            self.out.set(var);
        }
        for _ in base.max(body.low)..kept {
            self.out.push(&Instruction::Drop);
        }
        self.flush(&stack[..base as usize], body.low);
    }

    fn op(&mut self, op: Op) {
        let graph = self.graph;
        match op {
            Op::Get(var) => {
                let local = self.var(var);
                self.out.get(local);
            }
            Op::Set(var) => {
                let local = self.var(var);
                self.out.set(local);
            }
            Op::Tee(var) => {
                let local = self.var(var);
                self.out.tee(local);
            }
            Op::Code { start, end } => {
                self.out.raw(&self.shared.wasm[start as usize..end as usize]);
            }
            Op::Made { start, end } => self.out.raw(&graph.made[start as usize..end as usize]),
            Op::Bulk { start, end, wide } => {
                self.pay_bulk(wide);
                self.out.raw(&self.shared.wasm[start as usize..end as usize]);
            }
            Op::Atomic { start, end } => self.atomic(start, end),
            Op::RefFunc(function) => {
                let function = self.shared.callee(function);
                self.out.push(&Instruction::RefFunc(function));
            }
            Op::DataDrop(index) => {
                record_drop(self.shared.dropped.0, index, &mut self.out);
                self.out.push(&Instruction::DataDrop(index));
            }
            Op::ElemDrop(index) => {
                record_drop(self.shared.dropped.1, index, &mut self.out);
                self.out.push(&Instruction::ElemDrop(index));
            }
        }
    }

    /// Pays one step for every unit of the length on top of the stack. Where the fuel would fall
    /// so low that it could be taken for a sentinel, the rest goes on the debt.
    fn pay_bulk(&mut self, wide: bool) {
        let fuel = self.fuel;
        let which = if wide { Temporary::WideIndex } else { Temporary::Index };
        let length = self.temporary(which);
        self.out.tee(length);
        self.out.get(fuel);
        self.out.get(length);
        if wide {
            // Nothing longer succeeds; this keeps the sum from overflowing.
            self.out.i64(abi::BULK_STEPS_MAX);
            self.out.get(length);
            self.out.i64(abi::BULK_STEPS_MAX);
            self.out.push(&Instruction::I64LtU);
            self.out.push(&Instruction::Select);
        } else {
            self.out.push(&Instruction::I64ExtendI32U);
        }
        self.out.push(&Instruction::I64Sub);
        self.out.set(fuel);
        self.out.fuel_below(fuel, abi::DEBT_FLOOR);
        self.out.if_unlikely();
        self.out.owe(&self.shared.runtime, fuel);
        self.out.end();
    }

    fn call(&mut self, block: BlockId, call: crate::graph::Call, next: BlockId) -> Option<NodeId> {
        let graph = self.graph;
        let body = &graph.blocks[block as usize];
        if self.plan.tail_calls[block as usize] {
            self.callee(call, false);
            self.out.return_();
            return None;
        }
        let after = &graph.blocks[next as usize].stack_in;
        if graph.handlers[call.handlers as usize].is_empty() {
            self.callee(call, false);
            self.out.set(self.fuel);
            self.flush(after, body.low);
        } else {
            self.caught_call(block, call, after);
        }
        let pause = self.plan.call_pauses[block as usize];
        if self.plan.clamps[block as usize] {
            self.out.fuel_below(self.fuel, abi::DEBT_FLOOR);
            self.out.if_unlikely();
            self.goto_if_below(abi::SENTINEL_LIMIT, pause);
            self.out.owe(&self.shared.runtime, self.fuel);
            self.out.end();
        } else if pause != NONE {
            self.goto_if_below(abi::SENTINEL_LIMIT, pause);
        }
        self.goto(self.plan.entries[next as usize])
    }
}

/// Sets the bit of a dropped segment in the global that holds it; `first` is that of segment 0.
pub(super) fn record_drop(first: u32, index: u32, out: &mut Code) {
    let global = first + index / 64;
    out.global_get(global);
    out.i64(1 << (index % 64));
    out.push(&Instruction::I64Or);
    out.global_set(global);
}
