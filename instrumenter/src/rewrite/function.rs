//! Rewriting one function.

use walrus::ir::{self, BinaryOp, Instr, InstrSeqId, LocalId, UnaryOp};
use walrus::{
    FunctionBuilder, FunctionId, GlobalId, LocalFunction, ModuleLocals, ModuleTypes, TypeId,
};

use super::code::{self, Code, Runtime};
use super::control::Shape;
use crate::abi;
use crate::analyse::order::NONE;
use crate::graph::build::Built;
use crate::graph::{BlockId, Call, Callee, End, Op, Var};
use crate::metadata::{FunctionType, ValType};
use crate::plan::{Node, NodeId, Plan};

/// What rewriting a function needs of its module.
#[derive(Debug)]
pub(crate) struct Shared<'a> {
    /// What the instrumenter has added.
    pub runtime: Runtime,
    /// Canonical function types.
    pub types: &'a [FunctionType],
    /// The type with fuel of each, where one is needed.
    pub threaded: &'a [TypeId],
    /// What to call for each original function.
    pub callees: &'a [FunctionId],
    /// Globals recording dropped data segments and element segments.
    pub dropped: (&'a [GlobalId], &'a [GlobalId]),
}

/// Rewrites a function.
pub(super) struct Rewriter<'a> {
    shared: &'a Shared<'a>,
    old: &'a LocalFunction,
    built: &'a Built,
    plan: &'a Plan,
    slot: u32,
    first_point: u32,
    builder: FunctionBuilder,
    locals: &'a mut ModuleLocals,
    vars: Vec<Option<LocalId>>,
    pub(super) fuel: LocalId,
    temporaries: [Option<LocalId>; 3],
    pub(super) shape: Shape,
    pub(super) opened: Vec<bool>,
}

/// Temporary locals by purpose.
#[derive(Debug, Clone, Copy)]
enum Temporary {
    /// A frame's address.
    Base,
    /// A condition, an index, a length.
    Index,
    /// An index into the shadow table.
    Reference,
}

/// Identity of a function in frames.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    /// Its resume slot.
    pub slot: u32,
    /// Module-wide number of its first resume point.
    pub first_point: u32,
}

/// Rewrites a function according to its plan.
pub(crate) fn rewrite(
    shared: &Shared<'_>,
    (types, locals): (&mut ModuleTypes, &mut ModuleLocals),
    old: &LocalFunction,
    built: &Built,
    plan: &Plan,
    identity: Identity,
) -> LocalFunction {
    let graph = &built.graph;
    let params = code::threaded(&graph.vars[..graph.params as usize]);
    let results = code::threaded(&graph.results);
    let builder = FunctionBuilder::new(types, &params, &results);
    let args: Vec<LocalId> = params.iter().map(|ty| locals.add(*ty)).collect();
    let mut vars = vec![None; graph.vars.len()];
    vars.iter_mut().zip(&args).take(graph.params as usize).for_each(|(v, arg)| *v = Some(*arg));
    let shape = Shape::new(plan, |block| graph.blocks[block as usize].end.clone());
    let mut rewriter = Rewriter {
        shared,
        old,
        built,
        plan,
        slot: identity.slot,
        first_point: identity.first_point,
        fuel: args[args.len() - 1],
        builder,
        locals,
        vars,
        temporaries: [None; 3],
        opened: vec![false; plan.nodes.len()],
        shape,
    };
    let mut body = Code::default();
    rewriter.tree(0, &mut body);
    // Every path has returned; this only tells the validator.
    body.unreachable();
    let entry = rewriter.builder.func_body_id();
    rewriter.fill(entry, body);
    rewriter.builder.local_func(args)
}

impl Rewriter<'_> {
    pub(super) fn sequence(&mut self) -> InstrSeqId {
        self.builder.dangling_instr_seq(None).id()
    }

    pub(super) fn fill(&mut self, seq: InstrSeqId, mut code: Code) {
        // All of a module's code is in memory at once when it is emitted.
        code.0.shrink_to_fit();
        *self.builder.instr_seq(seq).instrs_mut() = code.0;
    }

    fn var(&mut self, var: Var) -> LocalId {
        if let Some(local) = self.vars[var as usize] {
            return local;
        }
        let local = self.locals.add(code::to_walrus(self.built.graph.vars[var as usize]));
        self.vars[var as usize] = Some(local);
        local
    }

    fn temporary(&mut self, which: Temporary) -> LocalId {
        let locals = &mut *self.locals;
        *self.temporaries[which as usize].get_or_insert_with(|| locals.add(walrus::ValType::I32))
    }

    /// Writes one node; returns the node that is to follow inline.
    pub(super) fn node(&mut self, node: NodeId, out: &mut Code) -> Option<NodeId> {
        debug_assert!(self.is_placed(node));
        match &self.plan.nodes[node as usize] {
            Node::Body { block, charge } => {
                out.pay(self.fuel, *charge);
                self.body(*block, out)
            }
            Node::Check { charge, ok, cold } => {
                self.goto_if_below(*charge, *cold, out);
                out.pay(self.fuel, *charge);
                self.goto(*ok, out)
            }
            Node::Rewind { dispatch, spill } => {
                self.goto_if_below(abi::SENTINEL_LIMIT, *dispatch, out);
                self.goto(*spill, out)
            }
            Node::Dispatch { first, targets } => {
                let mut cold = Code::default();
                self.dispatch(*first, targets, &mut cold);
                self.cold(cold, out);
                None
            }
            Node::Load(load) => {
                let mut cold = Code::default();
                self.load(load, &mut cold);
                if let Some(next) = self.goto(load.target, &mut cold) {
                    self.tree(next, &mut cold);
                }
                self.cold(cold, out);
                None
            }
            Node::Spill { point } => {
                let mut cold = Code::default();
                self.spill(*point, &mut cold);
                self.cold(cold, out);
                None
            }
        }
    }

    /// Writes code that never falls through such that Cranelift keeps it out of the hot code's
    /// way. Coldness does not propagate from a cold block to those behind it, so each is entered
    /// through a branch on a constant: the branch is folded away, its hint stays with the block.
    fn cold(&mut self, mut code: Code, out: &mut Code) {
        let seq = self.sequence();
        let mut entered = Code::default();
        entered.i32(0);
        entered.br_if(seq);
        entered.0.append(&mut code.0);
        self.fill(seq, entered);
        out.push(ir::Block { seq });
        out.unreachable();
    }

    fn body(&mut self, block: BlockId, out: &mut Code) -> Option<NodeId> {
        let built = self.built;
        let body = &built.graph.blocks[block as usize];
        for height in body.low..body.stack_in.len() as u32 {
            let var = self.slot_of(&body.stack_in, height);
            out.get(var);
        }
        for op in &body.ops {
            self.op(*op, out);
        }
        match &body.end {
            End::Jump { target, arity } => {
                self.jump(block, *target, *arity, out);
                self.goto(self.plan.entries[*target as usize], out)
            }
            End::Branch { then, otherwise } => {
                self.flush_below_index(block, out);
                let then = self.plan.entries[*then as usize];
                let otherwise = self.plan.entries[*otherwise as usize];
                if self.label(then).is_none() && self.label(otherwise).is_some() {
                    out.unary(UnaryOp::I32Eqz);
                    self.goto_if(otherwise, out);
                    return self.goto(then, out);
                }
                self.goto_if(then, out);
                self.goto(otherwise, out)
            }
            End::Switch { targets, default } => {
                self.flush_below_index(block, out);
                let labels = targets.iter().map(|target| self.switch_label(*target)).collect();
                let default = self.switch_label(*default);
                out.push(ir::BrTable { blocks: labels, default });
                None
            }
            End::Return => {
                out.get(self.fuel);
                out.push(ir::Return {});
                None
            }
            End::Unreachable => {
                out.unreachable();
                None
            }
            End::Call(call) => self.call(block, call, out),
        }
    }

    fn switch_label(&mut self, block: BlockId) -> InstrSeqId {
        let node = self.plan.entries[block as usize];
        self.label(node).expect("targets of a switch have labels")
    }

    fn slot_of(&mut self, stack: &[ValType], height: u32) -> LocalId {
        let var = self.built.graph.known_slot(height, stack[height as usize]);
        self.var(var)
    }

    /// Moves the operands from `low` up to the stack's height into their slots.
    fn flush(&mut self, stack: &[ValType], low: u32, out: &mut Code) {
        for height in (low..stack.len() as u32).rev() {
            let var = self.slot_of(stack, height);
            out.set(var);
        }
    }

    /// Flushes what is below the condition or index on top of the stack.
    fn flush_below_index(&mut self, block: BlockId, out: &mut Code) {
        let built = self.built;
        let body = &built.graph.blocks[block as usize];
        if body.low as usize >= body.stack_out.len() {
            return;
        }
        let index = self.temporary(Temporary::Index);
        out.set(index);
        self.flush(&body.stack_out, body.low, out);
        out.get(index);
    }

    fn jump(&mut self, block: BlockId, target: BlockId, arity: u32, out: &mut Code) {
        let built = self.built;
        let body = &built.graph.blocks[block as usize];
        let stack = &body.stack_out;
        let wanted = &built.graph.blocks[target as usize].stack_in;
        let kept = stack.len() as u32 - arity;
        let base = wanted.len() as u32 - arity;
        if kept == base {
            return self.flush(stack, body.low, out);
        }
        for at in (0..arity).rev() {
            let var = self.slot_of(wanted, base + at);
            out.set(var);
        }
        for _ in base.max(body.low)..kept {
            out.push(ir::Drop {});
        }
        self.flush(&stack[..base as usize], body.low, out);
    }

    fn call(&mut self, block: BlockId, call: &Call, out: &mut Code) -> Option<NodeId> {
        let built = self.built;
        let body = &built.graph.blocks[block as usize];
        match call.callee {
            Callee::Direct(function) => {
                out.get(self.fuel);
                out.push(ir::Call { func: self.shared.callees[function as usize] });
            }
            Callee::Indirect => {
                let index = self.temporary(Temporary::Index);
                out.set(index);
                out.get(self.fuel);
                out.get(index);
                let Instr::CallIndirect(old) = self.instr(call.code) else {
                    unreachable!("the code of an indirect call is a `call_indirect`")
                };
                let ty = self.shared.threaded[call.ty as usize];
                out.push(ir::CallIndirect { ty, table: old.table });
            }
        }
        if self.plan.tail_calls[block as usize] {
            out.push(ir::Return {});
            return None;
        }
        out.set(self.fuel);
        let after = &built.graph.blocks[call.next as usize].stack_in;
        self.flush(after, body.low, out);
        let spill = self.plan.call_spills[block as usize];
        if spill != NONE {
            self.goto_if_below(abi::SENTINEL_LIMIT, spill, out);
        }
        self.goto(self.plan.entries[call.next as usize], out)
    }

    fn instr(&self, number: u32) -> &Instr {
        let (seq, at) = self.built.code[number as usize];
        &self.old.block(seq).instrs[at as usize].0
    }

    fn op(&mut self, op: Op, out: &mut Code) {
        match op {
            Op::Get(var) => {
                let local = self.var(var);
                out.get(local);
            }
            Op::Set(var) => {
                let local = self.var(var);
                out.set(local);
            }
            Op::Tee(var) => {
                let local = self.var(var);
                out.tee(local);
            }
            Op::Code(number) => {
                let instr = self.instr(number).clone();
                self.plain(instr, out);
            }
            Op::Bulk(number) => {
                self.pay_bulk(out);
                let instr = self.instr(number).clone();
                out.push(instr);
            }
        }
    }

    fn plain(&mut self, instr: Instr, out: &mut Code) {
        match &instr {
            Instr::RefFunc(e) => {
                out.push(ir::RefFunc { func: self.shared.callees[e.func.index()] });
            }
            Instr::DataDrop(e) => {
                let index = e.data.index();
                record_drop(self.shared.dropped.0[index / 64], index, out);
                out.push(instr);
            }
            Instr::ElemDrop(e) => {
                let index = e.elem.index();
                record_drop(self.shared.dropped.1[index / 64], index, out);
                out.push(instr);
            }
            _ => out.push(instr),
        }
    }

    /// Pays one step for every unit of the length on top of the stack. Where the fuel would fall
    /// so low that it could be taken for a sentinel, the rest goes on the debt.
    fn pay_bulk(&mut self, out: &mut Code) {
        let length = self.temporary(Temporary::Index);
        out.tee(length);
        out.get(self.fuel);
        out.get(length);
        out.unary(UnaryOp::I64ExtendUI32);
        out.binary(BinaryOp::I64Sub);
        out.set(self.fuel);
        let seq = self.sequence();
        let mut cold = Code::default();
        cold.fuel_suffices(self.fuel, abi::DEBT_FLOOR);
        cold.br_if(seq);
        cold.global_get(self.shared.runtime.debt);
        cold.i64(abi::DEBT_FLOOR);
        cold.get(self.fuel);
        cold.binary(BinaryOp::I64Sub);
        cold.binary(BinaryOp::I64Add);
        cold.global_set(self.shared.runtime.debt);
        cold.i64(abi::DEBT_FLOOR);
        cold.set(self.fuel);
        self.fill(seq, cold);
        out.push(ir::Block { seq });
    }

    fn dispatch(&mut self, first: u32, targets: &[NodeId], out: &mut Code) {
        let trap = self.sequence();
        let mut code = Code::default();
        code.global_plus(self.shared.runtime.sp, -(abi::TRAILER_BYTES as i32));
        code.load(self.shared.runtime.frames, ValType::I32, 0);
        if self.first_point + first > 0 {
            code.i32((self.first_point + first) as i32);
            code.binary(BinaryOp::I32Sub);
        }
        let blocks = targets
            .iter()
            .map(|target| match *target {
                NONE => trap,
                target => self.label(target).expect("targets of a dispatch have labels"),
            })
            .collect();
        code.push(ir::BrTable { blocks, default: trap });
        self.fill(trap, code);
        out.push(ir::Block { seq: trap });
        out.unreachable();
    }

    fn load(&mut self, load: &crate::plan::Load, out: &mut Code) {
        let runtime = self.shared.runtime;
        if !load.values.is_empty() {
            let base = self.temporary(Temporary::Base);
            out.global_plus(runtime.sp, -(load.reach as i32));
            out.set(base);
            for &(var, at) in &load.values {
                let local = self.var(var);
                out.get(base);
                out.load(runtime.frames, self.built.graph.vars[var as usize], at);
                out.set(local);
            }
        }
        for &(var, distance) in &load.references {
            let local = self.var(var);
            out.global_plus(runtime.ref_sp, -(distance as i32));
            out.push(ir::TableGet { table: runtime.refs });
            out.set(local);
        }
        if let Some(point) = load.finish {
            self.finish(point, load, out);
        }
    }

    /// Takes the frame off, and takes the callee's results and the fuel.
    fn finish(&mut self, point: u32, load: &crate::plan::Load, out: &mut Code) {
        let runtime = self.shared.runtime;
        let plan = self.plan;
        let point = &plan.points[point as usize];
        let size = point.layout.bytes + abi::TRAILER_BYTES;
        if load.reach == size && !load.values.is_empty() {
            // The values just loaded begin where the frame does.
            let base = self.temporary(Temporary::Base);
            out.get(base);
        } else {
            out.global_plus(runtime.sp, -(size as i32));
        }
        out.global_set(runtime.sp);
        if point.layout.references > 0 {
            out.global_plus(runtime.ref_sp, -(point.layout.references as i32));
            out.global_set(runtime.ref_sp);
        }
        if let Some((ty, below)) = point.call {
            for (at, ty) in self.shared.types[ty as usize].results.iter().enumerate() {
                let slot = self.built.graph.known_slot(below + at as u32, *ty);
                let local = self.var(slot);
                out.i32(at as i32 * if *ty == ValType::FuncRef { 1 } else { 16 });
                match ty {
                    ValType::FuncRef => out.push(ir::TableGet { table: runtime.refs }),
                    ty => out.load(runtime.frames, *ty, 0),
                }
                out.set(local);
            }
        }
        out.global_get(runtime.fuel);
        out.set(self.fuel);
    }

    fn spill(&mut self, number: u32, out: &mut Code) {
        let runtime = self.shared.runtime;
        let plan = self.plan;
        let point = &plan.points[number as usize];
        if point.call.is_none() {
            // Here the fuel is the real one; behind a call it is in the global already.
            out.get(self.fuel);
            out.global_set(runtime.fuel);
        }
        let base = self.temporary(Temporary::Base);
        out.global_get(runtime.sp);
        out.set(base);
        for (var, ty, at) in point.layout.values() {
            let local = self.var(var);
            out.get(base);
            out.get(local);
            out.store(runtime.frames, ty, at);
        }
        let references = point.layout.references;
        if references > 0 {
            let first = self.temporary(Temporary::Reference);
            out.global_get(runtime.ref_sp);
            out.set(first);
            for (var, at) in point.layout.references() {
                let local = self.var(var);
                out.get(first);
                out.i32(at as i32);
                out.binary(BinaryOp::I32Add);
                out.get(local);
                out.push(ir::TableSet { table: runtime.refs });
            }
            out.get(first);
            out.i32(references as i32);
            out.binary(BinaryOp::I32Add);
            out.global_set(runtime.ref_sp);
        }
        let point = (self.first_point + number, references);
        out.trailer(&runtime, base, plan.points[number as usize].layout.bytes, point, self.slot);
        for ty in &self.built.graph.results {
            out.zero(*ty);
        }
        out.i64(abi::UNWIND);
        out.push(ir::Return {});
    }
}

/// Sets the bit of a dropped segment in the global that holds it.
pub(super) fn record_drop(global: GlobalId, index: usize, out: &mut Code) {
    out.global_get(global);
    out.i64(1 << (index % 64));
    out.binary(BinaryOp::I64Or);
    out.global_set(global);
}
