//! From walrus's instruction tree and the validator's facts to a [`Graph`].

use std::collections::HashMap;

use walrus::ir::{Instr, InstrSeqId, InstrSeqType};
use walrus::{LocalFunction, ModuleTypes};

use super::{Block, BlockId, Call, Callee, End, Graph, Op};
use crate::abi::limits;
use crate::error::{Error, ErrorKind};
use crate::facts::{FunctionFacts, OperatorFacts};
use crate::metadata::{FunctionType, ValType};

/// Locals the rewriting adds to those of the graph: the fuel and temporaries.
const OWN_LOCALS: usize = 8;
/// A bulk operation with a constant length up to this is priced statically. It takes eight bytes of
/// code, so that this bounds what a path can cost for its length: see `abi::DEBT_FLOOR`.
const STATIC_BULK_MAX: u32 = 256;

/// A graph and where its code is in walrus's function.
#[derive(Debug)]
pub(crate) struct Built {
    /// The graph.
    pub graph: Graph,
    /// The instructions `Op::Code(i)` and calls stand for.
    pub code: Vec<(InstrSeqId, u32)>,
}

/// Builds the graph of a function.
///
/// # Errors
/// When the body exceeds a limit, or facts and tree disagree.
pub(crate) fn build(
    function: &LocalFunction,
    types: &ModuleTypes,
    facts: &FunctionFacts,
    signature: &FunctionType,
    signatures: &[FunctionType],
) -> Result<Built, Error> {
    let graph = Graph {
        vars: facts.locals.clone(),
        locals: facts.locals.len() as u32,
        params: signature.params.len() as u32,
        results: signature.results.clone(),
        ..Graph::default()
    };
    let mut builder = Builder {
        function,
        types,
        facts,
        signatures,
        graph,
        code: Vec::new(),
        labels: HashMap::new(),
        current: None,
        cursor: 0,
        depth: 0,
        operands: 0,
        fault: None,
    };
    builder.body();
    if builder.graph.vars.len() + OWN_LOCALS > limits::LOCALS_MAX {
        builder.fault("locals and operands at block boundaries", limits::LOCALS_MAX);
    }
    match builder.fault {
        Some(error) => Err(error),
        None => Ok(Built { graph: builder.graph, code: builder.code }),
    }
}

/// What a branch to an instruction sequence means.
#[derive(Debug, Clone)]
struct Label {
    /// Stack height below the label's operands.
    base: u32,
    /// The operands a branch takes along.
    arity: u32,
    /// The target block; made when first branched to.
    target: Option<BlockId>,
    /// The operand stack at the target.
    stack: Vec<ValType>,
}

struct Builder<'a> {
    function: &'a LocalFunction,
    types: &'a ModuleTypes,
    facts: &'a FunctionFacts,
    signatures: &'a [FunctionType],
    graph: Graph,
    code: Vec<(InstrSeqId, u32)>,
    labels: HashMap<InstrSeqId, Label>,
    /// The block being filled, with its operand stack; `None` in unreachable code.
    current: Option<(BlockId, Vec<ValType>)>,
    cursor: usize,
    depth: usize,
    /// Operands at block boundaries so far.
    operands: usize,
    fault: Option<Error>,
}

impl Builder<'_> {
    fn body(&mut self) {
        let entry = self.block(Vec::new());
        // Even an empty function costs one step.
        self.graph.blocks[entry as usize].cost = 1;
        self.current = Some((entry, Vec::new()));
        let results = self.graph.results.clone();
        let label = Label { base: 0, arity: results.len() as u32, target: None, stack: results };
        let seq = self.function.entry_block();
        self.labels.insert(seq, label);
        self.sequence(seq);
        self.finish(End::Return);
        // Branches to the function's own label return.
        if let Some(target) = self.labels[&seq].target {
            let stack = self.graph.results.clone();
            self.current = Some((target, stack));
            self.finish(End::Return);
        }
    }

    fn fault(&mut self, what: &str, limit: usize) {
        let message = format!("more {what} than {limit}; split the function");
        self.fault.get_or_insert(Error::new(ErrorKind::Limit, message));
    }

    /// Counts the operands that a block or label holds. Many blocks under a high operand stack take
    /// memory in the product of the two.
    fn count_operands(&mut self, count: usize) {
        self.operands += count;
        if self.operands > limits::BOUNDARY_OPERANDS_MAX {
            self.fault("operands at block boundaries", limits::BOUNDARY_OPERANDS_MAX);
        }
    }

    /// A new block that is entered with the operand stack `stack`.
    fn block(&mut self, stack: Vec<ValType>) -> BlockId {
        self.count_operands(stack.len());
        if self.graph.blocks.len() >= limits::NODES_MAX {
            self.fault("blocks", limits::NODES_MAX);
        }
        for (height, ty) in stack.iter().enumerate() {
            self.graph.slot(height as u32, *ty);
        }
        self.graph.blocks.push(Block {
            low: stack.len() as u32,
            stack_in: stack,
            ops: Vec::new(),
            stack_out: Vec::new(),
            end: End::Unreachable,
            cost: 0,
            header: None,
        });
        (self.graph.blocks.len() - 1) as BlockId
    }

    fn enter(&mut self, block: BlockId) {
        let stack = self.graph.blocks[block as usize].stack_in.clone();
        self.current = Some((block, stack));
    }

    /// Ends the current block, if there is one.
    fn finish(&mut self, end: End) {
        let Some((id, stack)) = self.current.take() else { return };
        if matches!(end, End::Return) {
            let results = self.graph.results.len() as u32;
            let block = &mut self.graph.blocks[id as usize];
            block.low = block.low.min(stack.len() as u32 - results);
        }
        let block = &mut self.graph.blocks[id as usize];
        block.end = end;
        block.stack_out = stack;
    }

    fn pop(&mut self, count: u32) {
        let Some((id, stack)) = &mut self.current else { return };
        let height = stack.len() - count as usize;
        stack.truncate(height);
        let block = &mut self.graph.blocks[*id as usize];
        block.low = block.low.min(height as u32);
    }

    fn pay(&mut self, cost: u64) {
        if let Some((id, _)) = self.current {
            self.graph.blocks[id as usize].cost += cost;
        }
    }

    fn op(&mut self, op: Op) {
        if let Some((id, _)) = self.current {
            self.graph.blocks[id as usize].ops.push(op);
        }
    }

    fn height(&self) -> u32 {
        self.current.as_ref().map_or(0, |(_, stack)| stack.len() as u32)
    }

    fn facts_at(&mut self, offset: u32) -> Option<OperatorFacts> {
        let operators = &self.facts.operators;
        while operators.get(self.cursor).is_some_and(|facts| facts.offset < offset) {
            self.cursor += 1;
        }
        match operators.get(self.cursor) {
            Some(facts) if facts.offset == offset => Some(*facts),
            _ => {
                let message = format!("no facts about the instruction at {offset:#x}");
                self.fault.get_or_insert(Error::new(ErrorKind::Internal, message));
                None
            }
        }
    }

    fn sequence(&mut self, seq: InstrSeqId) {
        self.depth += 1;
        if self.depth > limits::NESTING_MAX {
            self.fault("nested control instructions", limits::NESTING_MAX);
        }
        let instrs = &self.function.block(seq).instrs;
        for (number, (instr, location)) in instrs.iter().enumerate() {
            if self.current.is_none() || self.fault.is_some() {
                break;
            }
            let Some(facts) = self.facts_at(location.data()) else { break };
            self.pay(u64::from(facts.cost));
            self.instruction(instr, (seq, number as u32), &facts);
        }
        self.depth -= 1;
    }

    fn instruction(&mut self, instr: &Instr, at: (InstrSeqId, u32), facts: &OperatorFacts) {
        match instr {
            Instr::Block(e) => self.nested_block(e.seq),
            Instr::Loop(e) => self.nested_loop(e.seq, facts.offset),
            Instr::IfElse(e) => self.nested_if(e.consequent, e.alternative),
            Instr::Br(e) => self.branch(e.block),
            Instr::BrIf(e) => {
                self.pop(1);
                let then = self.target(e.block);
                let stack = self.current.as_ref().map(|(_, stack)| stack.clone());
                let otherwise = self.block(stack.unwrap_or_default());
                self.finish(End::Branch { then, otherwise });
                self.enter(otherwise);
            }
            Instr::BrTable(e) => {
                self.pop(1);
                // One edge for each label, however often the table names it.
                let mut edges = HashMap::new();
                let mut edge =
                    |label: InstrSeqId| *edges.entry(label).or_insert_with(|| self.target(label));
                let targets = e.blocks.iter().map(|label| edge(*label)).collect();
                let default = edge(e.default);
                self.finish(End::Switch { targets, default });
            }
            Instr::Return(_) => self.finish(End::Return),
            Instr::Unreachable(_) => self.finish(End::Unreachable),
            Instr::LocalGet(_) => self.plain(Op::Get(facts.index), facts),
            Instr::LocalSet(_) => self.plain(Op::Set(facts.index), facts),
            Instr::LocalTee(_) => self.plain(Op::Tee(facts.index), facts),
            Instr::Call(e) => {
                self.call(at, Callee::Direct(e.func.index() as u32), facts);
            }
            Instr::CallIndirect(_) => self.call(at, Callee::Indirect, facts),
            Instr::MemoryCopy(_)
            | Instr::MemoryFill(_)
            | Instr::MemoryInit(_)
            | Instr::TableCopy(_)
            | Instr::TableFill(_)
            | Instr::TableInit(_)
            | Instr::TableGrow(_) => self.bulk(at, facts),
            // Everything else neither branches nor calls. What this version does not carry has
            // been refused by the validator's pass, so there is nothing to tell apart here.
            _ => {
                let op = self.code(at);
                self.plain(Op::Code(op), facts);
            }
        }
    }

    fn code(&mut self, at: (InstrSeqId, u32)) -> u32 {
        self.code.push(at);
        (self.code.len() - 1) as u32
    }

    fn plain(&mut self, op: Op, facts: &OperatorFacts) {
        self.pop(u32::from(facts.pops));
        let first = facts.pushed_at as usize;
        let pushed = &self.facts.pushed[first..first + usize::from(facts.pushes)];
        if let Some((_, stack)) = &mut self.current {
            stack.extend_from_slice(pushed);
        }
        self.op(op);
    }

    /// A bulk operation costs one step more for every unit of its length. Where the length is a
    /// small constant that is known here.
    fn bulk(&mut self, at: (InstrSeqId, u32), facts: &OperatorFacts) {
        let length = self.constant_before(at).filter(|length| *length <= STATIC_BULK_MAX);
        let code = self.code(at);
        match length {
            Some(length) => {
                self.pay(u64::from(length));
                self.plain(Op::Code(code), facts);
            }
            None => self.plain(Op::Bulk(code), facts),
        }
    }

    fn constant_before(&self, (seq, number): (InstrSeqId, u32)) -> Option<u32> {
        let before = (number as usize).checked_sub(1)?;
        match &self.function.block(seq).instrs[before].0 {
            Instr::Const(c) => match c.value {
                walrus::ir::Value::I32(value) => Some(value as u32),
                _ => None,
            },
            _ => None,
        }
    }

    fn call(&mut self, at: (InstrSeqId, u32), callee: Callee, facts: &OperatorFacts) {
        let code = self.code(at);
        let ty = facts.index;
        let results = &self.signatures[ty as usize].results;
        self.pop(u32::from(facts.pops));
        let Some((_, below)) = &self.current else { return };
        let mut stack = below.clone();
        stack.extend_from_slice(results);
        let next = self.block(stack);
        self.finish(End::Call(Call { callee, code, offset: facts.offset, ty, next }));
        self.enter(next);
    }

    /// Parameter and result counts of a block type, with the result types.
    fn block_type(&self, seq: InstrSeqId) -> (u32, Vec<ValType>) {
        match self.function.block(seq).ty {
            InstrSeqType::Simple(None) => (0, Vec::new()),
            InstrSeqType::Simple(Some(ty)) => (0, vec![from_walrus(ty)]),
            InstrSeqType::MultiValue(id) => {
                let (params, results) = self.types.params_results(id);
                (params.len() as u32, results.iter().map(|ty| from_walrus(*ty)).collect())
            }
        }
    }

    /// The label of a `block` or `if`: what follows its end.
    fn forward_label(&mut self, seq: InstrSeqId) -> Label {
        let (params, results) = self.block_type(seq);
        let base = self.height() - params;
        let (_, stack) = self.current.as_ref().expect("only called in reachable code");
        let mut after = stack[..base as usize].to_vec();
        after.extend_from_slice(&results);
        self.count_operands(after.len());
        Label { base, arity: results.len() as u32, target: None, stack: after }
    }

    /// Goes on behind the end of a `block` or `if`.
    fn join(&mut self, label: InstrSeqId) {
        let Some(target) = self.labels[&label].target else {
            return;
        };
        let arity = self.labels[&label].arity;
        self.finish(End::Jump { target, arity });
        self.enter(target);
    }

    fn nested_block(&mut self, seq: InstrSeqId) {
        let label = self.forward_label(seq);
        self.labels.insert(seq, label);
        self.sequence(seq);
        self.join(seq);
    }

    fn nested_loop(&mut self, seq: InstrSeqId, offset: u32) {
        let (params, _) = self.block_type(seq);
        let Some((_, stack)) = &self.current else { return };
        let stack = stack.clone();
        let header = self.block(stack.clone());
        let base = stack.len() as u32 - params;
        self.finish(End::Jump { target: header, arity: params });
        self.enter(header);
        let label = Label { base, arity: params, target: Some(header), stack };
        self.labels.insert(seq, label);
        self.graph.blocks[header as usize].header = Some(offset);
        self.sequence(seq);
    }

    fn nested_if(&mut self, consequent: InstrSeqId, alternative: InstrSeqId) {
        self.pop(1);
        let label = self.forward_label(consequent);
        let Some((_, stack)) = &self.current else { return };
        let stack = stack.clone();
        let then = self.block(stack.clone());
        // An absent or empty `else` falls straight through to the end.
        let empty = self.function.block(alternative).instrs.is_empty();
        self.labels.insert(consequent, label);
        let otherwise = if empty { self.forward_target(consequent) } else { self.block(stack) };
        self.finish(End::Branch { then, otherwise });
        self.enter(then);
        self.sequence(consequent);
        let target = self.forward_target(consequent);
        let arity = self.labels[&consequent].arity;
        self.finish(End::Jump { target, arity });
        if !empty {
            self.enter(otherwise);
            let label = self.labels[&consequent].clone();
            self.labels.insert(alternative, label);
            self.sequence(alternative);
            self.finish(End::Jump { target, arity });
        }
        self.enter(target);
    }

    /// The block a forward label stands for, made when first needed.
    fn forward_target(&mut self, seq: InstrSeqId) -> BlockId {
        if let Some(target) = self.labels[&seq].target {
            return target;
        }
        let stack = self.labels[&seq].stack.clone();
        let target = self.block(stack);
        if let Some(label) = self.labels.get_mut(&seq) {
            label.target = Some(target);
        }
        target
    }

    fn branch(&mut self, seq: InstrSeqId) {
        let target = self.forward_target(seq);
        let label = &self.labels[&seq];
        let arity = label.arity;
        if self.height() != label.base + arity {
            self.touch(arity);
        }
        self.finish(End::Jump { target, arity });
    }

    /// Makes sure that the topmost `count` operands are on the operand stack when the block ends.
    fn touch(&mut self, count: u32) {
        let height = self.height();
        if let Some((id, _)) = self.current {
            let block = &mut self.graph.blocks[id as usize];
            block.low = block.low.min(height - count);
        }
    }

    /// The block a conditional branch goes to: the label's own, or one on the way there that
    /// drops the operands in between.
    fn target(&mut self, seq: InstrSeqId) -> BlockId {
        let target = self.forward_target(seq);
        let Label { base, arity, .. } = self.labels[&seq];
        if self.height() == base + arity {
            return target;
        }
        let Some((id, stack)) = self.current.take() else { return target };
        let edge = self.block(stack.clone());
        self.current = Some((edge, stack.clone()));
        self.touch(arity);
        self.finish(End::Jump { target, arity });
        self.current = Some((id, stack));
        edge
    }
}

/// A walrus value type in our terms; the validator's pass has refused all others.
pub(crate) fn from_walrus(ty: walrus::ValType) -> ValType {
    match ty {
        walrus::ValType::I32 => ValType::I32,
        walrus::ValType::I64 => ValType::I64,
        walrus::ValType::F32 => ValType::F32,
        walrus::ValType::F64 => ValType::F64,
        walrus::ValType::V128 => ValType::V128,
        walrus::ValType::Ref(_) => ValType::FuncRef,
    }
}
