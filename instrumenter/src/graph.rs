//! A function as a control-flow graph of our own: what every analysis works on.
//!
//! Operand-stack values live in variables at block boundaries, so a block can be entered from
//! anywhere; within a block they stay on the operand stack. Variables are the function's locals,
//! followed by one *slot* for every (stack height, type) that crosses a boundary.
//!
//! Straight code is kept as ranges of the original module's bytes: all index spaces of the
//! instrumented module begin with the original's, so such code is copied as it is.

pub(crate) mod build;

use std::collections::HashMap;
use std::ops::Range;

use crate::metadata::Place;
use crate::types::{self, FUNCREF, WasmType};

/// A variable: a local by index, or behind them an operand slot.
pub(crate) type Var = u32;
/// Index into [`Graph::blocks`].
pub(crate) type BlockId = u32;
/// Index into [`Graph::handlers`]; the first list is empty.
pub(crate) type HandlersId = u32;
/// The list of no handlers.
pub(crate) const NO_HANDLERS: HandlersId = 0;

/// A function body.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// Types of all variables.
    pub vars: Vec<WasmType>,
    /// How many of `vars` are locals (parameters included).
    pub locals: u32,
    /// How many of the locals are parameters.
    pub params: u32,
    /// Result types.
    pub results: Vec<WasmType>,
    /// The blocks; block 0 is the entry. Unreachable ones have no predecessor.
    pub blocks: Vec<Block>,
    /// The instructions of all blocks.
    pub ops: Vec<Op>,
    /// Code that is not in the original as it is needed; [`Op::Made`] indexes it.
    pub made: Vec<u8>,
    /// Lists of exception handlers, the innermost first.
    pub handlers: Vec<Vec<Handler>>,
    /// Whether the module or this function has typed references other than those that `ref.func`
    /// makes.
    pub typed: bool,
    /// Stack height of every slot, by `var - locals`.
    heights: Vec<u32>,
    slots: HashMap<(u32, WasmType), Var>,
}

/// A basic block.
#[derive(Debug)]
pub(crate) struct Block {
    /// The operand stack on entry; every value is in its slot.
    pub stack_in: Vec<WasmType>,
    /// Operands below this height are not touched by the block and stay in their slots.
    pub low: u32,
    /// The instructions, as a range of [`Graph::ops`].
    pub ops: Range<u32>,
    /// The operand stack behind `ops`, without the operands of `end` (but with a return's
    /// results, and without the arguments of a call or a throw).
    pub stack_out: Vec<WasmType>,
    /// How the block ends.
    pub end: End,
    /// Its price in steps, bulk operations of unknown length excluded.
    pub cost: u64,
    /// Offset of the `loop` instruction, if this is the header of a loop.
    pub header: Option<u32>,
}

/// An instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// `local.get`
    Get(Var),
    /// `local.set`
    Set(Var),
    /// `local.tee`
    Tee(Var),
    /// Instructions of the original, by their byte offsets.
    Code { start: u32, end: u32 },
    /// Instructions in [`Graph::made`].
    Made { start: u32, end: u32 },
    /// A bulk operation, at these byte offsets, whose length is on top of the stack and only known
    /// at run time. It is an `i64` if `wide`.
    Bulk { start: u32, end: u32, wide: bool },
    /// An instruction of the threads proposal, at these byte offsets.
    Atomic { start: u32, end: u32 },
    /// `ref.func` of the function with that original index.
    RefFunc(u32),
    /// `data.drop`
    DataDrop(u32),
    /// `elem.drop`
    ElemDrop(u32),
}

/// The end of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// Goes on at `target`, taking the topmost `arity` operands along.
    Jump { target: BlockId, arity: u32 },
    /// Pops a condition.
    Branch { then: BlockId, otherwise: BlockId },
    /// Pops an index.
    Switch { targets: Vec<BlockId>, default: BlockId },
    /// Returns the topmost operands.
    Return,
    /// Traps.
    Unreachable,
    /// Calls and goes on at `next` with the results pushed.
    Call { call: Call, next: BlockId },
    /// Calls and returns what the callee returns.
    TailCall(Call),
    /// Throws: by the instruction at these byte offsets.
    Throw { start: u32, end: u32, operands: Vec<WasmType>, handlers: HandlersId },
}

/// A call that ends a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// What is called.
    pub callee: Callee,
    /// The instruction's byte offset.
    pub offset: u32,
    /// Canonical type index of the callee.
    pub ty: u32,
    /// Where its exceptions are caught.
    pub handlers: HandlersId,
}

/// What a call may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callee {
    /// The function with that original index.
    Direct(u32),
    /// Any address-taken function of the call's type, through that table.
    Indirect {
        /// Index of the table.
        table: u32,
        /// Whether its index is an `i64`.
        wide: bool,
    },
    /// The same, through a reference.
    Reference,
}

/// A catch clause, seen from the instruction that throws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handler {
    /// The tag caught, or any.
    pub tag: Option<u32>,
    /// Whether the exception itself is pushed behind its payload.
    pub reference: bool,
    /// Where it goes on, with the payload as topmost operands.
    pub block: BlockId,
}

impl Graph {
    /// The slot for an operand of type `ty` at stack height `height`.
    pub fn slot(&mut self, height: u32, ty: WasmType) -> Var {
        if let Some(var) = self.slots.get(&(height, ty)) {
            return *var;
        }
        let var = self.vars.len() as Var;
        self.vars.push(ty);
        self.heights.push(height);
        self.slots.insert((height, ty), var);
        var
    }

    /// The slot that has been made for an operand of type `ty` at stack height `height`.
    pub fn known_slot(&self, height: u32, ty: WasmType) -> Var {
        *self.slots.get(&(height, ty)).expect("every boundary operand got a slot when built")
    }

    /// The type of a local that holds values of type `ty`. What `ref.func` makes is of a typed reference,
    /// but in a function that has no others nobody takes it for more than a `funcref`: so modules of
    /// wasm 2.0, which has no typed references, stay without.
    pub fn stored(&self, ty: WasmType) -> WasmType {
        if self.typed || !types::is_typed(ty) { ty } else { FUNCREF }
    }

    /// Where a variable is in the original function.
    pub fn place(&self, var: Var) -> Place {
        match var.checked_sub(self.locals) {
            None => Place::Local(var),
            Some(slot) => Place::Operand(self.heights[slot as usize]),
        }
    }

    /// Whether `var` holds one of the operands `stack`.
    pub fn on_stack(&self, stack: &[WasmType], var: Var) -> bool {
        match self.place(var) {
            Place::Local(_) => false,
            Place::Operand(height) => stack.get(height as usize) == Some(&self.vars[var as usize]),
        }
    }

    /// The instructions of a block.
    pub fn ops_of(&self, block: &Block) -> &[Op] {
        &self.ops[block.ops.start as usize..block.ops.end as usize]
    }

    /// Calls `f` with every successor of a block, repeats included.
    pub fn successors(&self, block: BlockId, mut f: impl FnMut(BlockId)) {
        let caught = |handlers: HandlersId, f: &mut dyn FnMut(BlockId)| {
            self.handlers[handlers as usize].iter().for_each(|handler| f(handler.block));
        };
        match &self.blocks[block as usize].end {
            End::Jump { target, .. } => f(*target),
            End::Branch { then, otherwise } => {
                f(*then);
                f(*otherwise);
            }
            End::Switch { targets, default } => {
                targets.iter().for_each(|target| f(*target));
                f(*default);
            }
            End::Return | End::Unreachable | End::TailCall(_) => {}
            End::Call { call, next } => {
                f(*next);
                caught(call.handlers, &mut f);
            }
            End::Throw { handlers, .. } => caught(*handlers, &mut f),
        }
    }

    /// The successors of all blocks.
    pub fn successor_lists(&self) -> Vec<Vec<BlockId>> {
        (0..self.blocks.len() as BlockId)
            .map(|block| {
                let mut list = Vec::new();
                self.successors(block, |successor| list.push(successor));
                list
            })
            .collect()
    }
}
