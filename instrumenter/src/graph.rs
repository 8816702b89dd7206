//! A function as a control-flow graph of our own: what every analysis works on.
//!
//! Operand-stack values live in variables at block boundaries, so a block can be entered from
//! anywhere; within a block they stay on the operand stack. Variables are the function's locals,
//! followed by one *slot* for every (stack height, type) that crosses a boundary.

pub(crate) mod build;

use std::collections::HashMap;

use crate::metadata::{Place, ValType};

/// A variable: a local by index, or behind them an operand slot.
pub(crate) type Var = u32;
/// Index into [`Graph::blocks`].
pub(crate) type BlockId = u32;

/// A function body.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// Types of all variables.
    pub vars: Vec<ValType>,
    /// How many of `vars` are locals (parameters included).
    pub locals: u32,
    /// How many of the locals are parameters.
    pub params: u32,
    /// Result types.
    pub results: Vec<ValType>,
    /// The blocks; block 0 is the entry. Unreachable ones have no predecessor.
    pub blocks: Vec<Block>,
    /// Stack height of every slot, by `var - locals`.
    heights: Vec<u32>,
    slots: HashMap<(u32, ValType), Var>,
}

/// A basic block.
#[derive(Debug)]
pub(crate) struct Block {
    /// The operand stack on entry; every value is in its slot.
    pub stack_in: Vec<ValType>,
    /// Operands below this height are not touched by the block and stay in their slots.
    pub low: u32,
    /// The instructions.
    pub ops: Vec<Op>,
    /// The operand stack behind `ops`, without the operands of `end` (but with a return's
    /// results, and without a call's arguments).
    pub stack_out: Vec<ValType>,
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
    /// Any other instruction, by its number in the function's code.
    Code(u32),
    /// A bulk operation whose length, on top of the stack, is only known at run time.
    Bulk(u32),
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
    Call(Call),
}

/// A call that ends a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// What is called.
    pub callee: Callee,
    /// The call instruction's number in the function's code.
    pub code: u32,
    /// Its byte offset.
    pub offset: u32,
    /// Type index of the callee.
    pub ty: u32,
    /// The continuation.
    pub next: BlockId,
}

/// What a call may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callee {
    /// The function with that original index.
    Direct(u32),
    /// Any address-taken function of the call's type.
    Indirect,
}

impl Graph {
    /// The slot for an operand of type `ty` at stack height `height`.
    pub fn slot(&mut self, height: u32, ty: ValType) -> Var {
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
    pub fn known_slot(&self, height: u32, ty: ValType) -> Var {
        *self.slots.get(&(height, ty)).expect("every boundary operand got a slot when built")
    }

    /// Where a variable is in the original function.
    pub fn place(&self, var: Var) -> Place {
        match var.checked_sub(self.locals) {
            None => Place::Local(var),
            Some(slot) => Place::Operand(self.heights[slot as usize]),
        }
    }

    /// Whether `var` holds one of the operands `stack`.
    pub fn on_stack(&self, stack: &[ValType], var: Var) -> bool {
        match self.place(var) {
            Place::Local(_) => false,
            Place::Operand(height) => stack.get(height as usize) == Some(&self.vars[var as usize]),
        }
    }
}

impl End {
    /// Calls `f` with every successor, repeats included.
    pub fn successors(&self, mut f: impl FnMut(BlockId)) {
        match self {
            End::Jump { target, .. } => f(*target),
            End::Branch { then, otherwise } => {
                f(*then);
                f(*otherwise);
            }
            End::Switch { targets, default } => {
                targets.iter().for_each(|target| f(*target));
                f(*default);
            }
            End::Return | End::Unreachable => {}
            End::Call(call) => f(call.next),
        }
    }
}
