//! Calls, throws, and the handlers around them.
//!
//! A `try_table` is not kept as a region: resuming in its middle would have to enter it from
//! outside. Each call and throw inside gets a `try_table` of its own, with the clauses of all that
//! were around it:
//!
//! ```wat
//! block $past
//!   block $caught (result t*)
//!     try_table (catch $tag $caught)
//!       <operands, from their slots>
//!       call $f
//!       <results, into their slots>
//!       br $past
//!     end
//!     unreachable
//!   end
//!   <payload, into its slots>
//!   fuel = $tasklet.fuel
//!   br <handler>
//! end
//! ```
//!
//! To the compiler that is the same: a call with handlers is one instruction there, however large
//! the region was.

use std::collections::HashMap;

use wasm_encoder::Instruction;

use super::{Rewriter, Temporary};
use crate::abi;
use crate::graph::{BlockId, Call, Callee, HandlersId};
use crate::rewrite::code::{Label, Local, reference_to};
use crate::types::WasmType;

impl Rewriter<'_> {
    /// Calls, with the operands on the stack: puts the fuel behind the arguments.
    pub(super) fn callee(&mut self, call: Call, tail: bool) {
        let fuel = self.fuel;
        match call.callee {
            Callee::Direct(function) => {
                self.out.get(fuel);
                let function = self.shared.callee(function);
                self.out.push(&match tail {
                    false => Instruction::Call(function),
                    true => Instruction::ReturnCall(function),
                });
            }
            Callee::Indirect { table, wide } => {
                let which = if wide { Temporary::WideIndex } else { Temporary::Index };
                let index = self.temporary(which);
                self.out.set(index);
                self.out.get(fuel);
                self.out.get(index);
                let (type_index, table_index) = (call.ty, table);
                self.out.push(&match tail {
                    false => Instruction::CallIndirect { type_index, table_index },
                    true => Instruction::ReturnCallIndirect { type_index, table_index },
                });
            }
            Callee::Reference => {
                let target = self.held(reference_to(call.ty), 0);
                self.out.set(target);
                self.out.get(fuel);
                self.out.get(target);
                self.out.push(&match tail {
                    false => Instruction::CallRef(call.ty),
                    true => Instruction::ReturnCallRef(call.ty),
                });
            }
        }
    }

    /// A call with handlers; leaves the results in the slots of `after`.
    pub(super) fn caught_call(&mut self, block: BlockId, call: Call, after: &[WasmType]) {
        let body = &self.graph.blocks[block as usize];
        let below = body.stack_out.len() as u32;
        // What is below the arguments must be in its slots wherever it goes on.
        let mut operands = self.shared.facts.types[call.ty as usize].params.clone();
        match call.callee {
            Callee::Direct(_) => {}
            Callee::Indirect { wide: false, .. } => operands.push(WasmType::I32),
            Callee::Indirect { wide: true, .. } => operands.push(WasmType::I64),
            Callee::Reference => operands.push(reference_to(call.ty)),
        }
        let held = self.hold(&operands);
        self.flush(&body.stack_out, body.low.min(below));
        let past = self.out.block();
        self.handled(call.handlers, |this| {
            held.iter().for_each(|local| this.out.get(*local));
            this.callee(call, false);
            this.out.set(this.fuel);
            this.flush(after, below);
            this.out.br(past);
        });
        self.out.end();
    }

    /// A local to hold an operand in, by its number among those of its type.
    pub(super) fn held(&mut self, ty: WasmType, number: u32) -> Local {
        let out = &mut self.out;
        *self.held.entry((ty, number)).or_insert_with(|| out.local(ty))
    }

    /// Moves operands from the stack into locals of their own.
    fn hold(&mut self, operands: &[WasmType]) -> Vec<Local> {
        // The first of each type is for the target of a call by reference.
        let mut count: HashMap<WasmType, u32> = HashMap::new();
        let mut held = Vec::with_capacity(operands.len());
        for ty in operands {
            let ty = self.graph.stored(*ty);
            let number = count.entry(ty).or_insert(0);
            *number += 1;
            held.push(self.held(ty, *number));
        }
        held.iter().rev().for_each(|local| self.out.set(*local));
        held
    }

    /// Throws, with the operands on the stack, by the instruction `code`.
    pub(super) fn throw(
        &mut self,
        block: BlockId,
        code: &[u8],
        operands: &[WasmType],
        handlers: HandlersId,
    ) {
        let body = &self.graph.blocks[block as usize];
        self.out.get(self.fuel);
        self.out.global_set(self.shared.runtime.fuel);
        if self.graph.handlers[handlers as usize].is_empty() {
            return self.out.raw(code);
        }
        let held = self.hold(operands);
        self.flush(&body.stack_out, body.low.min(body.stack_out.len() as u32));
        self.handled(handlers, |this| {
            held.iter().for_each(|local| this.out.get(*local));
            this.out.raw(code);
        });
    }

    /// Throws the exception that the driver has caught.
    pub(super) fn rethrow(&mut self, handlers: HandlersId) {
        let exception = self.shared.runtime.exception.expect("only where something is caught");
        let thrown = self.held(crate::types::EXNREF, 0);
        self.out.global_get(exception);
        self.out.set(thrown);
        self.out.zero(crate::types::EXNREF);
        self.out.global_set(exception);
        let throw = |this: &mut Self| {
            this.out.get(thrown);
            this.out.push(&Instruction::ThrowRef);
        };
        if self.graph.handlers[handlers as usize].is_empty() {
            return throw(self);
        }
        self.handled(handlers, throw);
    }

    /// Writes code that does not fall through, with the handlers around it, and what they do.
    fn handled(&mut self, handlers: HandlersId, write: impl FnOnce(&mut Self)) {
        let graph = self.graph;
        let handlers = &graph.handlers[handlers as usize];
        // The first handler's block is the innermost.
        let mut labels: Vec<Label> = Vec::with_capacity(handlers.len());
        for handler in handlers.iter().rev() {
            let ty = match handler.tag {
                Some(tag) => self.shared.payloads[tag as usize][usize::from(handler.reference)],
                None if handler.reference => wasm_encoder::BlockType::Result(crate::types::EXNREF),
                None => wasm_encoder::BlockType::Empty,
            };
            labels.push(self.out.block_of(ty));
        }
        labels.reverse();
        let catches: Vec<_> = handlers
            .iter()
            .zip(&labels)
            .map(|(handler, label)| (handler.tag, handler.reference, *label))
            .collect();
        self.out.try_table(&catches);
        write(self);
        self.out.end();
        self.out.unreachable();
        for handler in handlers {
            self.out.end();
            let stack = &graph.blocks[handler.block as usize].stack_in;
            let mut caught = usize::from(handler.reference);
            if let Some(tag) = handler.tag {
                caught += self.shared.facts.tag_type(tag).params.len();
            }
            self.flush(stack, (stack.len() - caught) as u32);
            self.out.global_get(self.shared.runtime.fuel);
            self.out.set(self.fuel);
            self.out.fuel_below(self.fuel, abi::DEBT_FLOOR);
            self.out.if_unlikely();
            self.out.owe(&self.shared.runtime, self.fuel);
            self.out.end();
            self.leave_to(self.plan.entries[handler.block as usize]);
        }
    }
}
