//! The cold paths: writing a frame, and rebuilding one.

use wasm_encoder::Instruction;

use super::{Rewriter, Temporary};
use crate::abi;
use crate::analyse::order::NONE;
use crate::metadata::ValType;
use crate::plan::{Load, NodeId};
use crate::types::kind;

impl Rewriter<'_> {
    pub(super) fn dispatch(&mut self, first: u32, targets: &[NodeId]) {
        let trap = self.out.block();
        self.out.global_plus(self.shared.runtime.sp, -(abi::TRAILER_BYTES as i32));
        self.out.load(self.shared.runtime.frames, ValType::I32, 0);
        if self.first_point + first > 0 {
            self.out.i32((self.first_point + first) as i32);
            self.out.push(&Instruction::I32Sub);
        }
        let labels: Vec<_> = targets
            .iter()
            .map(|target| match *target {
                NONE => trap,
                target => self.label(target).expect("targets of a dispatch have labels"),
            })
            .collect();
        self.out.br_table(&labels, trap);
        self.out.end();
        self.out.unreachable();
    }

    pub(super) fn load(&mut self, load: &Load) {
        let runtime = self.shared.runtime;
        let graph = self.graph;
        if !load.values.is_empty() {
            let base = self.temporary(Temporary::Base);
            self.out.global_plus(runtime.sp, -(load.reach as i32));
            self.out.set(base);
            for &(var, at) in &load.values {
                let local = self.var(var);
                self.out.get(base);
                self.out.load(runtime.frames, kind(graph.vars[var as usize]), at);
                self.out.set(local);
            }
        }
        for &(var, distance) in &load.references {
            let local = self.var(var);
            self.out.global_plus(runtime.ref_sp, -(distance as i32));
            self.out.reference(&runtime, graph.vars[var as usize]);
            self.out.set(local);
        }
        if let Some(point) = load.finish {
            self.finish(point, load);
        }
        self.leave_to(load.target);
    }

    /// Takes the frame off, and takes the callee's results and the fuel.
    fn finish(&mut self, point: u32, load: &Load) {
        let runtime = self.shared.runtime;
        let plan = self.plan;
        let point = &plan.points[point as usize];
        let size = point.layout.bytes + abi::TRAILER_BYTES;
        if load.reach == size && !load.values.is_empty() {
            // The values just loaded begin where the frame does.
            let base = self.temporary(Temporary::Base);
            self.out.get(base);
        } else {
            self.out.global_plus(runtime.sp, -(size as i32));
        }
        self.out.global_set(runtime.sp);
        if point.layout.references > 0 {
            self.out.global_plus(runtime.ref_sp, -(point.layout.references as i32));
            self.out.global_set(runtime.ref_sp);
        }
        if let Some(thrown) = load.thrown {
            self.goto_if_thrown(thrown);
        }
        if let Some((ty, below)) = point.call {
            let facts = self.shared.facts;
            for (at, ty) in (0..).zip(&facts.types[ty as usize].results) {
                let slot = self.graph.known_slot(below + at, *ty);
                let local = self.var(slot);
                if kind(*ty).is_reference() {
                    self.out.i32(at as i32);
                    self.out.reference(&runtime, *ty);
                } else {
                    self.out.i32((at * abi::RESULT_BYTES) as i32);
                    self.out.load(runtime.frames, kind(*ty), 0);
                }
                self.out.set(local);
            }
        }
        self.out.global_get(runtime.fuel);
        self.out.set(self.fuel);
    }

    /// Goes to a node if the driver has caught an exception.
    fn goto_if_thrown(&mut self, node: NodeId) {
        let exception = self.shared.runtime.exception.expect("only where something is caught");
        self.out.global_get(exception);
        self.out.push(&Instruction::RefIsNull);
        self.out.push(&Instruction::I32Eqz);
        self.goto_if(node);
    }

    pub(super) fn spill(&mut self, number: u32) {
        let runtime = self.shared.runtime;
        let plan = self.plan;
        let point = &plan.points[number as usize];
        if point.call.is_none() {
            // Here the fuel is the real one; behind a call it is in the global already.
            self.out.get(self.fuel);
            self.out.global_set(runtime.fuel);
        }
        let base = self.temporary(Temporary::Base);
        self.out.global_get(runtime.sp);
        self.out.set(base);
        for (var, ty, at) in point.layout.values() {
            let local = self.var(var);
            self.out.get(base);
            self.out.get(local);
            self.out.store(runtime.frames, ty, at);
        }
        let references = point.layout.references;
        if references > 0 {
            let first = self.temporary(Temporary::Reference);
            self.out.global_get(runtime.ref_sp);
            self.out.set(first);
            for (var, ty, at) in point.layout.references() {
                let local = self.var(var);
                self.out.get(first);
                self.out.i32(at as i32);
                self.out.push(&Instruction::I32Add);
                self.out.get(local);
                self.out.push(&Instruction::TableSet(runtime.table(ty)));
            }
            self.out.get(first);
            self.out.i32(references as i32);
            self.out.push(&Instruction::I32Add);
            self.out.global_set(runtime.ref_sp);
        }
        let trailer = (self.first_point + number, references);
        self.out.trailer(&runtime, base, point.layout.bytes, trailer, self.slot);
        for ty in &self.graph.results {
            self.out.zero(*ty);
        }
        self.out.i64(abi::UNWIND);
        self.out.return_();
    }
}
