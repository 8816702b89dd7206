//! From the bytes of a function body to a [`Graph`], validating it on the way.

mod control;

use wasm_encoder::{Encode, Instruction};
use wasmparser::{
    BlockType, FuncValidator, FuncValidatorAllocations, Operator, ValidatorResources,
};

use super::{Block, BlockId, Call, Callee, End, Graph, HandlersId, NO_HANDLERS, Op};
use crate::abi::limits;
use crate::effort::Effort;
use crate::error::{Error, ErrorKind, Place};
use crate::facts::{self, ModuleFacts};
use crate::features;
use crate::types::{self, Signature, WasmType};
use control::Frame;

/// Locals the rewriting adds to those of the graph: the fuel and temporaries.
const OWN_LOCALS: usize = 32;
/// A bulk operation with a constant length up to this is priced statically. It takes eight bytes of
/// code, so that this bounds what a path can cost for its length: see `abi::DEBT_FLOOR`.
const STATIC_BULK_MAX: u64 = 256;

/// What is known of a function body.
#[derive(Debug)]
pub(crate) struct Body {
    /// The graph.
    pub graph: Graph,
    /// Offset of the first instruction.
    pub code_offset: u32,
    /// Bytes from there to the end.
    pub code_bytes: u32,
    /// Functions that a `ref.func` names, repeats included.
    pub references: Vec<u32>,
}

/// Validates a function body and builds its graph.
///
/// The outer error is an invalid body. The inner one is a feature that is refused or a limit that
/// is exceeded: it only counts once the whole module is known to be valid.
pub(crate) fn build(
    (facts, effort): (&ModuleFacts, &Effort),
    (to_validate, body): facts::ToValidate<'_>,
    allocations: &mut FuncValidatorAllocations,
) -> Result<Result<Body, Error>, Error> {
    let signature = facts.signature_of(to_validate.index);
    let mut func = to_validate.into_validator(std::mem::take(allocations));
    let mut reader = body.get_binary_reader();
    func.read_locals(&mut reader).map_err(facts::invalid)?;
    reader.set_features(*func.features());
    let code_offset = reader.original_position() as u32;
    let code_bytes = body.range().end as u32 - code_offset;
    let mut builder = Builder::new((facts, effort), signature);
    builder.locals(&func, body.range().start);
    let mut operators = wasmparser::OperatorsReader::new(reader);
    while !operators.eof() {
        let (op, start) = operators.read_with_offset().map_err(facts::invalid)?;
        let end = operators.original_position();
        let reachable = func.get_control_frame(0).is_some_and(|frame| !frame.unreachable);
        let arity = if reachable { op.operator_arity(&func) } else { None };
        func.op(start, &op).map_err(facts::invalid)?;
        if builder.fault.is_none() {
            builder.at = (start as u32, end as u32);
            builder.operator(&func, &op, arity);
        }
    }
    operators.finish().map_err(facts::invalid)?;
    *allocations = func.into_allocations();
    if builder.graph.vars.len() + OWN_LOCALS > limits::LOCALS_MAX {
        builder.limit("locals and operands at block boundaries", limits::LOCALS_MAX);
    }
    Ok(match builder.fault {
        Some(error) => Err(error),
        None => {
            builder.graph.ops.shrink_to_fit();
            let (graph, references) = (builder.graph, builder.references);
            Ok(Body { graph, code_offset, code_bytes, references })
        }
    })
}

/// Validates a function body and nothing else.
///
/// # Errors
/// When it is invalid.
pub(crate) fn validate(
    (to_validate, body): facts::ToValidate<'_>,
    allocations: &mut FuncValidatorAllocations,
) -> Result<(), Error> {
    let mut func = to_validate.into_validator(std::mem::take(allocations));
    func.validate(&body).map_err(facts::invalid)?;
    *allocations = func.into_allocations();
    Ok(())
}

struct Builder<'a> {
    facts: &'a ModuleFacts,
    effort: &'a Effort,
    graph: Graph,
    references: Vec<u32>,
    /// The control instructions around the current one, the function first.
    frames: Vec<Frame>,
    /// Handlers of the `try_table`s around it.
    handlers: HandlersId,
    /// The block being filled, with its operand stack; `None` in unreachable code.
    current: Option<(BlockId, Vec<WasmType>)>,
    /// Byte offsets of the current instruction and of the next.
    at: (u32, u32),
    /// The constant pushed by the instruction before, with the offset behind it.
    constant: (u32, u64),
    /// Operands at block boundaries so far.
    operands: usize,
    /// Calls and throws times the catch clauses around them.
    edges: usize,
    fault: Option<Error>,
}

impl<'a> Builder<'a> {
    fn new((facts, effort): (&'a ModuleFacts, &'a Effort), signature: &Signature) -> Builder<'a> {
        let graph = Graph {
            params: signature.params.len() as u32,
            results: signature.results.clone(),
            handlers: vec![Vec::new()],
            typed: facts.typed,
            ..Graph::default()
        };
        let mut builder = Builder {
            facts,
            effort,
            graph,
            references: Vec::new(),
            frames: Vec::new(),
            handlers: NO_HANDLERS,
            current: None,
            at: (0, 0),
            constant: (u32::MAX, 0),
            operands: 0,
            edges: 0,
            fault: None,
        };
        let entry = builder.block(Vec::new());
        // Even an empty function costs one step.
        builder.graph.blocks[entry as usize].cost = 1;
        builder.enter(entry);
        builder.frames.push(Frame::function(signature.results.clone()));
        builder
    }

    fn locals(&mut self, func: &FuncValidator<ValidatorResources>, start: usize) {
        let count = func.len_locals();
        self.graph.locals = count;
        // What is not to be kept is not made: a declaration of 50,000 takes five bytes.
        if !self.effort.operands(count as usize + self.graph.results.len()) {
            return self.limit("locals", limits::LOCALS_MAX);
        }
        for index in 0..count {
            let Some(ty) = func.get_local_type(index) else { continue };
            match self.value_type(ty) {
                Ok(ty) => {
                    self.graph.typed |= types::is_typed(ty);
                    self.graph.vars.push(ty);
                }
                Err(e) => return self.fail(e.at(offset(start as u32))),
            }
        }
    }

    fn value_type(&self, ty: wasmparser::ValType) -> Result<WasmType, Error> {
        features::check_value_type(ty)?;
        self.facts.indices.value(ty).ok_or_else(|| {
            Error::new(ErrorKind::Internal, "a value of a type that the module does not have")
        })
    }

    fn fail(&mut self, error: Error) {
        self.fault.get_or_insert(error);
    }

    fn limit(&mut self, what: &str, limit: usize) {
        let message = format!("more {what} than {limit}; split the function");
        self.fail(Error::new(ErrorKind::Limit, message));
    }

    /// Counts the operands that a block or label holds. Many blocks under a high operand stack take
    /// memory in the product of the two.
    fn count_operands(&mut self, count: usize) {
        self.operands += count;
        if self.operands > limits::BOUNDARY_OPERANDS_MAX || !self.effort.operands(count) {
            self.limit("operands at block boundaries", limits::BOUNDARY_OPERANDS_MAX);
        }
    }

    /// Counts the handlers of a call or a throw: each is an edge of its own, and code of its own.
    fn count_handlers(&mut self) {
        self.edges += self.graph.handlers[self.handlers as usize].len();
        if self.edges > limits::HANDLER_EDGES_MAX {
            self.limit("calls times catch clauses around them", limits::HANDLER_EDGES_MAX);
        }
    }

    /// A new block that is entered with the operand stack `stack`.
    fn block(&mut self, stack: Vec<WasmType>) -> BlockId {
        self.count_operands(stack.len());
        if self.graph.blocks.len() >= limits::NODES_MAX {
            self.limit("blocks", limits::NODES_MAX);
        }
        for (height, ty) in stack.iter().enumerate() {
            self.graph.slot(height as u32, *ty);
        }
        self.graph.blocks.push(Block {
            low: stack.len() as u32,
            stack_in: stack,
            ops: 0..0,
            stack_out: Vec::new(),
            end: End::Unreachable,
            cost: 0,
            header: None,
        });
        (self.graph.blocks.len() - 1) as BlockId
    }

    fn enter(&mut self, block: BlockId) {
        let start = self.graph.ops.len() as u32;
        let entered = &mut self.graph.blocks[block as usize];
        entered.ops = start..start;
        self.current = Some((block, entered.stack_in.clone()));
    }

    /// Ends the current block, if there is one.
    fn finish(&mut self, end: End) {
        let Some((id, stack)) = self.current.take() else { return };
        let results = self.graph.results.len() as u32;
        let block = &mut self.graph.blocks[id as usize];
        if matches!(end, End::Return) {
            block.low = block.low.min(stack.len() as u32 - results);
        }
        block.ops.end = self.graph.ops.len() as u32;
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

    fn push(&mut self, types: &[WasmType]) {
        if let Some((_, stack)) = &mut self.current {
            stack.extend_from_slice(types);
        }
    }

    fn pay(&mut self, cost: u64) {
        if let Some((id, _)) = self.current {
            self.graph.blocks[id as usize].cost += cost;
        }
    }

    fn op(&mut self, op: Op) {
        let Some((id, _)) = self.current else { return };
        let first = self.graph.blocks[id as usize].ops.start as usize;
        // Neighbours in the original are copied in one go.
        if let Op::Code { start, end } = op
            && let Some(Op::Code { end: before, .. }) = self.graph.ops[first..].last_mut()
            && *before == start
        {
            *before = end;
            return;
        }
        self.graph.ops.push(op);
    }

    fn height(&self) -> u32 {
        self.current.as_ref().map_or(0, |(_, stack)| stack.len() as u32)
    }

    /// Makes an instruction that is not in the original as it is needed.
    fn made(&mut self, instruction: &Instruction<'_>) -> Op {
        let start = self.graph.made.len() as u32;
        instruction.encode(&mut self.graph.made);
        Op::Made { start, end: self.graph.made.len() as u32 }
    }

    fn code(&self) -> Op {
        Op::Code { start: self.at.0, end: self.at.1 }
    }

    fn operator(
        &mut self,
        func: &FuncValidator<ValidatorResources>,
        op: &Operator<'_>,
        arity: Option<(u32, u32)>,
    ) {
        if let Err(error) = features::check_operator(op) {
            return self.fail(error.at(offset(self.at.0)));
        }
        if self.frames.len() > limits::NESTING_MAX {
            self.limit("nested control instructions", limits::NESTING_MAX);
        }
        if self.current.is_some() {
            self.pay(u64::from(cost(op)));
        }
        if self.control(op) || self.current.is_none() {
            return;
        }
        let (pops, pushes) = arity.unwrap_or((0, 0));
        if self.call(op, pops) {
            return;
        }
        let at = self.code();
        let what = match op {
            Operator::LocalGet { local_index } => Op::Get(*local_index),
            Operator::LocalSet { local_index } => Op::Set(*local_index),
            Operator::LocalTee { local_index } => Op::Tee(*local_index),
            Operator::RefFunc { function_index } => {
                self.references.push(*function_index);
                Op::RefFunc(*function_index)
            }
            Operator::DataDrop { data_index } => Op::DataDrop(*data_index),
            Operator::ElemDrop { elem_index } => Op::ElemDrop(*elem_index),
            // The type may not admit null; its operands are nullable here.
            Operator::TypedSelect { ty } => match self.value_type(*ty) {
                Ok(ty) => self.made(&Instruction::TypedSelect(ty)),
                Err(e) => return self.fail(e.at(offset(self.at.0))),
            },
            op if features::is_atomic(op) => Op::Atomic { start: self.at.0, end: self.at.1 },
            _ => match self.length_is_wide(op) {
                Some(wide) => self.bulk(wide),
                None => at,
            },
        };
        match *op {
            Operator::I32Const { value } => self.constant = (self.at.1, u64::from(value as u32)),
            Operator::I64Const { value } => self.constant = (self.at.1, value as u64),
            _ => {}
        }
        self.pop(pops);
        for depth in (0..pushes as usize).rev() {
            let Some(Some(ty)) = func.get_operand_type(depth) else { continue };
            match self.value_type(ty) {
                Ok(ty) => {
                    let made = matches!(op, Operator::RefFunc { .. });
                    self.graph.typed |= !made && types::is_typed(ty);
                    self.push(&[ty]);
                }
                Err(e) => return self.fail(e.at(offset(self.at.0))),
            }
        }
        self.op(what);
    }

    /// For bulk operations, which cost one step more for every unit of their length: whether that
    /// is an `i64`.
    fn length_is_wide(&self, op: &Operator<'_>) -> Option<bool> {
        let memory = |index: u32| self.facts.memories[index as usize].memory64;
        let table = |index: u32| self.facts.tables[index as usize].table64;
        Some(match *op {
            Operator::MemoryCopy { dst_mem, src_mem } => memory(dst_mem) && memory(src_mem),
            Operator::MemoryFill { mem } => memory(mem),
            Operator::TableCopy { dst_table, src_table } => table(dst_table) && table(src_table),
            Operator::TableFill { table: at } | Operator::TableGrow { table: at } => table(at),
            Operator::MemoryInit { .. } | Operator::TableInit { .. } => false,
            _ => return None,
        })
    }

    /// A bulk operation. Where its length is a small constant that is known here, it is priced
    /// here.
    fn bulk(&mut self, wide: bool) -> Op {
        let (start, end) = self.at;
        let (behind, length) = self.constant;
        if behind == start && length <= STATIC_BULK_MAX {
            self.pay(length);
            self.code()
        } else {
            Op::Bulk { start, end, wide }
        }
    }

    /// Calls, tail calls and throws; tells whether it was one.
    fn call(&mut self, op: &Operator<'_>, pops: u32) -> bool {
        let (callee, ty, tail) = match *op {
            Operator::Call { function_index: f } => (Callee::Direct(f), self.type_of(f), false),
            Operator::ReturnCall { function_index: f } => {
                (Callee::Direct(f), self.type_of(f), true)
            }
            Operator::CallIndirect { type_index, table_index } => {
                (self.indirect(table_index), type_index, false)
            }
            Operator::ReturnCallIndirect { type_index, table_index } => {
                (self.indirect(table_index), type_index, true)
            }
            Operator::CallRef { type_index } => (Callee::Reference, type_index, false),
            Operator::ReturnCallRef { type_index } => (Callee::Reference, type_index, true),
            Operator::Throw { .. } | Operator::ThrowRef => {
                self.throw(pops);
                return true;
            }
            _ => return false,
        };
        self.graph.typed |= callee == Callee::Reference;
        let ty = self.facts.canonical[ty as usize];
        let offset = self.at.0;
        self.pop(pops);
        if tail {
            self.finish(End::TailCall(Call { callee, offset, ty, handlers: NO_HANDLERS }));
            return true;
        }
        self.count_handlers();
        let Some((_, below)) = &self.current else { return true };
        let mut stack = below.clone();
        stack.extend_from_slice(&self.facts.types[ty as usize].results);
        let next = self.block(stack);
        let call = Call { callee, offset, ty, handlers: self.handlers };
        self.finish(End::Call { call, next });
        self.enter(next);
        true
    }

    fn type_of(&self, function: u32) -> u32 {
        self.facts.function_types[function as usize]
    }

    fn indirect(&self, table: u32) -> Callee {
        Callee::Indirect { table, wide: self.facts.tables[table as usize].table64 }
    }

    fn throw(&mut self, pops: u32) {
        let Some((_, stack)) = &self.current else { return };
        let (below, operands) = stack.split_at(stack.len() - pops as usize);
        let operands = operands.to_vec();
        if self.handlers != NO_HANDLERS {
            // A handler finds what is below in its slots.
            for (height, ty) in (0..).zip(below) {
                self.graph.slot(height, *ty);
            }
        }
        self.count_handlers();
        self.pop(pops);
        let (start, end) = self.at;
        self.finish(End::Throw { start, end, operands, handlers: self.handlers });
    }

    /// Parameter and result types of a block type.
    fn block_type(&mut self, ty: BlockType) -> (usize, Vec<WasmType>) {
        match ty {
            BlockType::Empty => (0, Vec::new()),
            BlockType::Type(ty) => match self.value_type(ty) {
                Ok(ty) => {
                    self.graph.typed |= types::is_typed(ty);
                    (0, vec![ty])
                }
                Err(e) => {
                    self.fail(e.at(offset(self.at.0)));
                    (0, Vec::new())
                }
            },
            BlockType::FuncType(index) => {
                let signature = &self.facts.types[index as usize];
                (signature.params.len(), signature.results.clone())
            }
        }
    }
}

fn offset(at: u32) -> Place {
    Place { offset: Some(u64::from(at)), ..Place::default() }
}

/// The price of an instruction in steps: wasmtime 48's default operator costs.
/// Bulk operations cost one step more for every byte or element; see the rewriting.
fn cost(op: &Operator<'_>) -> u8 {
    match op {
        Operator::Nop
        | Operator::Drop
        | Operator::Block { .. }
        | Operator::Loop { .. }
        | Operator::Unreachable
        | Operator::Return
        | Operator::Else
        | Operator::End => 0,
        _ => 1,
    }
}
