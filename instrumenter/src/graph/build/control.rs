//! Building the graph: control instructions.

use std::collections::HashMap;

use wasm_encoder::Instruction;
use wasmparser::{BlockType, Catch, Operator};

use super::super::{BlockId, End, Handler, HandlersId, NO_HANDLERS, Op};
use super::Builder;
use crate::abi::limits;
use crate::types::{EXNREF, WasmType};

/// An open control instruction.
#[derive(Debug)]
pub(super) struct Frame {
    kind: Kind,
    label: Label,
    /// The handlers outside of it.
    handlers: HandlersId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The function, a `block` or a `try_table`: its label is behind its end.
    Forward,
    Loop,
    /// An `if` whose condition ends `condition` and whose `else`, if it has one, is `otherwise`.
    If {
        condition: BlockId,
        otherwise: BlockId,
    },
    /// Opened in unreachable code.
    Dead,
}

/// What a branch to a control instruction means.
#[derive(Debug, Clone, Default)]
struct Label {
    /// Stack height below the label's operands.
    base: u32,
    /// The operands a branch takes along.
    arity: u32,
    /// The target block; made when first branched to.
    target: Option<BlockId>,
    /// The operand stack at the target.
    stack: Vec<WasmType>,
}

impl Frame {
    /// The function itself: its label returns.
    pub fn function(results: Vec<WasmType>) -> Frame {
        let label = Label { base: 0, arity: results.len() as u32, target: None, stack: results };
        Frame { kind: Kind::Forward, label, handlers: NO_HANDLERS }
    }
}

impl Builder<'_> {
    /// Control instructions; tells whether it was one.
    pub(super) fn control(&mut self, op: &Operator<'_>) -> bool {
        match op {
            Operator::Block { blockty } => self.open(*blockty),
            Operator::TryTable { try_table } => {
                self.open(try_table.ty);
                self.catches(&try_table.catches);
            }
            Operator::Loop { blockty } => self.open_loop(*blockty),
            Operator::If { blockty } => self.open_if(*blockty),
            Operator::Else => self.otherwise(),
            Operator::End => self.end(),
            _ if self.current.is_none() => {}
            Operator::Br { relative_depth } => self.branch(*relative_depth),
            Operator::BrIf { relative_depth } => {
                self.pop(1);
                self.branch_if(*relative_depth);
            }
            Operator::BrTable { targets } => {
                self.pop(1);
                // One edge for each label, however often the table names it.
                let mut edges = HashMap::new();
                let mut edge = |depth: u32| {
                    if self.fault.is_some() {
                        return 0;
                    }
                    *edges.entry(depth).or_insert_with(|| self.target(depth))
                };
                let list = targets.targets().map_while(Result::ok).map(&mut edge).collect();
                let default = edge(targets.default());
                self.finish(End::Switch { targets: list, default });
            }
            Operator::BrOnNull { relative_depth } => self.branch_on_null(*relative_depth),
            Operator::BrOnNonNull { relative_depth } => self.branch_on_non_null(*relative_depth),
            Operator::Return => self.finish(End::Return),
            Operator::Unreachable => self.finish(End::Unreachable),
            _ => return false,
        }
        true
    }

    /// Opens what is left at its end: a `block`, a `try_table`, or an `if` whose condition is popped.
    fn open(&mut self, ty: BlockType) {
        let (params, results) = self.block_type(ty);
        let handlers = self.handlers;
        let Some((_, stack)) = &self.current else {
            let label = Label::default();
            return self.frames.push(Frame { kind: Kind::Dead, label, handlers });
        };
        let base = stack.len() - params;
        let arity = results.len() as u32;
        let mut after = stack[..base].to_vec();
        after.extend_from_slice(&results);
        self.count_operands(after.len());
        let label = Label { base: base as u32, arity, target: None, stack: after };
        self.frames.push(Frame { kind: Kind::Forward, label, handlers });
    }

    fn open_loop(&mut self, ty: BlockType) {
        let (params, _) = self.block_type(ty);
        let handlers = self.handlers;
        let Some((_, stack)) = &self.current else {
            let label = Label::default();
            return self.frames.push(Frame { kind: Kind::Dead, label, handlers });
        };
        let base = stack.len() - params;
        let mut stack = stack.clone();
        // Later rounds may bring a supertype of what the first one does.
        self.loop_params(ty, &mut stack[base..]);
        let header = self.block(stack.clone());
        self.jump(header, params as u32);
        self.enter(header);
        self.graph.blocks[header as usize].header = Some(self.at.0);
        let label = Label { base: base as u32, arity: params as u32, target: Some(header), stack };
        self.frames.push(Frame { kind: Kind::Loop, label, handlers });
    }

    fn loop_params(&self, ty: BlockType, operands: &mut [WasmType]) {
        if let BlockType::FuncType(index) = ty {
            operands.copy_from_slice(&self.facts.types[index as usize].params);
        }
    }

    fn open_if(&mut self, ty: BlockType) {
        self.pop(1);
        self.open(ty);
        let Some((condition, stack)) = &self.current else { return };
        let (condition, stack) = (*condition, stack.clone());
        let then = self.block(stack.clone());
        let otherwise = self.block(stack);
        self.finish(End::Branch { then, otherwise });
        self.enter(then);
        if let Some(frame) = self.frames.last_mut() {
            frame.kind = Kind::If { condition, otherwise };
        }
    }

    fn otherwise(&mut self) {
        let Some(Kind::If { otherwise, .. }) = self.frames.last().map(|frame| frame.kind) else {
            return;
        };
        let target = self.forward_target(0);
        let arity = self.label(0).arity;
        self.jump(target, arity);
        self.enter(otherwise);
        if let Some(frame) = self.frames.last_mut() {
            frame.kind = Kind::Forward;
        }
    }

    fn end(&mut self) {
        let Some(kind) = self.frames.last().map(|frame| frame.kind) else { return };
        match kind {
            Kind::Dead | Kind::Loop => {}
            Kind::Forward => self.join(),
            Kind::If { condition, otherwise } => {
                // Without an `else` the condition leads straight to the end, save where the
                // operands must change their slots on the way.
                let target = self.forward_target(0);
                let arity = self.label(0).arity;
                self.jump(target, arity);
                if self.graph.blocks[otherwise as usize].stack_in
                    == self.graph.blocks[target as usize].stack_in
                {
                    if let End::Branch { otherwise: at, .. } =
                        &mut self.graph.blocks[condition as usize].end
                    {
                        *at = target;
                    }
                } else {
                    self.enter(otherwise);
                    self.jump(target, arity);
                }
                self.enter(target);
            }
        }
        let Some(frame) = self.frames.pop() else { return };
        self.handlers = frame.handlers;
    }

    /// Goes on behind the end of a `block`, or at the end of the function returns.
    fn join(&mut self) {
        let outermost = self.frames.len() == 1;
        let Label { target, arity, .. } = self.label(0);
        let (target, arity) = (*target, *arity);
        match target {
            None if outermost => self.finish(End::Return),
            None => {}
            Some(target) => {
                if outermost {
                    self.finish(End::Return);
                    let stack = self.graph.results.clone();
                    self.enter(target);
                    debug_assert_eq!(self.graph.blocks[target as usize].stack_in, stack);
                    self.finish(End::Return);
                } else {
                    self.jump(target, arity);
                    self.enter(target);
                }
            }
        }
    }

    fn label(&self, depth: u32) -> &Label {
        &self.frames[self.frames.len() - 1 - depth as usize].label
    }

    /// The block a label stands for, made when first needed.
    fn forward_target(&mut self, depth: u32) -> BlockId {
        let label = self.label(depth);
        if let Some(target) = label.target {
            return target;
        }
        let stack = label.stack.clone();
        let target = self.block(stack);
        let at = self.frames.len() - 1 - depth as usize;
        self.frames[at].label.target = Some(target);
        target
    }

    fn branch(&mut self, depth: u32) {
        let target = self.forward_target(depth);
        let arity = self.label(depth).arity;
        self.jump(target, arity);
    }

    fn branch_if(&mut self, depth: u32) {
        let then = self.target(depth);
        let stack = self.current.as_ref().map(|(_, stack)| stack.clone());
        let otherwise = self.block(stack.unwrap_or_default());
        self.finish(End::Branch { then, otherwise });
        self.enter(otherwise);
    }

    /// Ends the block by going to `target` with the topmost operands.
    fn jump(&mut self, target: BlockId, arity: u32) {
        if !self.arrives_as_it_is(target) {
            // They must be at hand to be moved to the target's slots.
            let height = self.height();
            if let Some((id, _)) = self.current {
                let block = &mut self.graph.blocks[id as usize];
                block.low = block.low.min(height - arity);
            }
        }
        self.finish(End::Jump { target, arity });
    }

    /// Whether the operand stack is the one that a target wants, slot by slot.
    fn arrives_as_it_is(&self, target: BlockId) -> bool {
        let wanted = &self.graph.blocks[target as usize].stack_in;
        self.current.as_ref().is_some_and(|(_, stack)| stack == wanted)
    }

    /// The block a conditional branch goes to: the label's own, or one on the way there that
    /// drops or moves operands.
    fn target(&mut self, depth: u32) -> BlockId {
        let target = self.forward_target(depth);
        if self.arrives_as_it_is(target) {
            return target;
        }
        let arity = self.label(depth).arity;
        // The block being filled goes on behind this; the edge has no instructions.
        let Some((id, stack)) = self.current.take() else { return target };
        let edge = self.block(stack.clone());
        self.enter(edge);
        self.jump(target, arity);
        self.current = Some((id, stack));
        edge
    }

    /// Tests the reference on top of the stack, which stays in its slot, and pops it. Returns its
    /// type.
    fn test_null(&mut self) -> Option<WasmType> {
        let (_, stack) = self.current.as_ref()?;
        let ty = *stack.last()?;
        let slot = self.graph.slot(stack.len() as u32 - 1, ty);
        self.op(Op::Tee(slot));
        let test = self.made(&Instruction::RefIsNull);
        self.op(test);
        self.pop(1);
        Some(ty)
    }

    /// A block entered with a reference in its slot, on top of the current operands.
    fn with_reference(&mut self, ty: WasmType) -> BlockId {
        let mut stack = self.current.as_ref().map(|(_, stack)| stack.clone()).unwrap_or_default();
        stack.push(ty);
        self.block(stack)
    }

    fn branch_on_null(&mut self, depth: u32) {
        let Some(ty) = self.test_null() else { return };
        let then = self.target(depth);
        let otherwise = self.with_reference(ty);
        self.finish(End::Branch { then, otherwise });
        self.enter(otherwise);
    }

    fn branch_on_non_null(&mut self, depth: u32) {
        let Some(ty) = self.test_null() else { return };
        let Some((id, stack)) = self.current.clone() else { return };
        let otherwise = self.with_reference(ty);
        self.enter(otherwise);
        self.branch(depth);
        self.current = Some((id, stack.clone()));
        let then = self.block(stack);
        self.finish(End::Branch { then, otherwise });
        self.enter(then);
    }

    /// Makes the handlers of a `try_table` that has just been opened. Its labels count from outside
    /// of it.
    fn catches(&mut self, catches: &[Catch]) {
        let Some((id, stack)) = self.current.take() else { return };
        let mut handlers = Vec::new();
        if catches.len() > limits::HANDLERS_MAX {
            self.limit("catch clauses around an instruction", limits::HANDLERS_MAX);
        }
        for catch in catches {
            if self.fault.is_some() {
                break;
            }
            let (tag, reference, depth) = match *catch {
                Catch::One { tag, label } => (Some(tag), false, label),
                Catch::OneRef { tag, label } => (Some(tag), true, label),
                Catch::All { label } => (None, false, label),
                Catch::AllRef { label } => (None, true, label),
            };
            // Behind the `try_table` itself.
            let depth = depth + 1;
            let base = self.label(depth).base as usize;
            let mut caught = stack[..base].to_vec();
            if let Some(tag) = tag {
                caught.extend_from_slice(&self.facts.tag_type(tag).params);
            }
            if reference {
                caught.push(EXNREF);
            }
            let block = self.block(caught);
            self.enter(block);
            self.branch(depth);
            handlers.push(Handler { tag, reference, block });
            if tag.is_none() {
                break;
            }
        }
        if handlers.last().is_none_or(|handler| handler.tag.is_some()) {
            handlers.extend_from_slice(&self.graph.handlers[self.handlers as usize]);
        }
        if handlers.len() > limits::HANDLERS_MAX {
            self.limit("catch clauses around an instruction", limits::HANDLERS_MAX);
            handlers.clear();
        }
        self.count_operands(handlers.len());
        self.handlers = NO_HANDLERS;
        if !handlers.is_empty() {
            self.handlers = self.graph.handlers.len() as HandlersId;
            self.graph.handlers.push(handlers);
        }
        self.current = Some((id, stack));
    }
}
