//! The cold paths: writing a frame, and rebuilding one.

use wasm_encoder::Instruction;

use super::{Rewriter, Temporary};
use crate::abi;
use crate::analyse::order::NONE;
use crate::graph::Var;
use crate::metadata::ValType;
use crate::plan::{Fuel, Load, NodeId};
use crate::rewrite::code::pair;
use crate::types::kind;

impl Rewriter<'_> {
    pub(super) fn dispatch(&mut self, first: u32, targets: &[NodeId]) {
        if let Some((point, target, other)) = either(first, targets) {
            self.out.global_get(self.shared.runtime.point);
            self.out.i32((self.first_point + point) as i32);
            self.out.push(&Instruction::I32Eq);
            self.goto_if(target);
            self.leave_to(other);
            return;
        }
        let trap = self.out.block();
        self.out.global_get(self.shared.runtime.point);
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
        if load.base {
            let base = self.temporary(Temporary::Base);
            self.out.global_get(runtime.sp);
            self.out.set(base);
        }
        for &(var, at) in &load.values {
            let local = self.var(var);
            let base = self.temporary(Temporary::Base);
            self.out.get(base);
            self.out.load(runtime.frames, kind(graph.vars[var as usize]), at);
            self.out.set(local);
        }
        for &(var, at) in &load.references {
            let local = self.var(var);
            self.out.global_plus(runtime.ref_sp, at as i32);
            self.out.reference(&runtime, graph.stored(graph.vars[var as usize]));
            self.out.set(local);
        }
        for &var in &load.zeros {
            let local = self.var(var);
            self.out.zero(graph.vars[var as usize]);
            self.out.set(local);
        }
        if let Some(point) = load.finish {
            self.finish(point, load.thrown);
        }
        match load.fuel {
            Fuel::Keep => {}
            Fuel::Fetch => {
                let fetched = self.temporary(Temporary::Fuel);
                self.out.global_get(runtime.fuel);
                self.out.set(fetched);
            }
            Fuel::Take => {
                let fetched = self.temporary(Temporary::Fuel);
                self.out.get(fetched);
                self.out.set(self.fuel);
            }
            Fuel::FetchAndTake => {
                self.out.global_get(runtime.fuel);
                self.out.set(self.fuel);
            }
        }
        self.leave_to(load.target);
    }

    /// Takes the callee's results.
    fn finish(&mut self, point: u32, thrown: Option<NodeId>) {
        let runtime = self.shared.runtime;
        if let Some(thrown) = thrown {
            self.goto_if_thrown(thrown);
        }
        if let Some((ty, below)) = self.plan.points[point as usize].call {
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
    }

    /// Goes to a node if the driver has caught an exception.
    fn goto_if_thrown(&mut self, node: NodeId) {
        let exception = self.shared.runtime.exception.expect("only where something is caught");
        self.out.global_get(exception);
        self.out.push(&Instruction::RefIsNull);
        self.out.push(&Instruction::I32Eqz);
        self.goto_if(node);
    }

    /// Notes which frame is to be written, and writes its references.
    pub(super) fn pause(&mut self, number: u32, next: NodeId) {
        let runtime = self.shared.runtime;
        let plan = self.plan;
        let point = &plan.points[number as usize];
        if point.call.is_none() {
            // Here the fuel is the real one; behind a call it is in the global already.
            self.out.get(self.fuel);
            self.out.global_set(runtime.fuel);
        }
        for (var, ty, at) in point.layout.references() {
            let local = self.var(var);
            self.out.global_plus(runtime.ref_sp, at as i32);
            self.out.get(local);
            self.out.push(&Instruction::TableSet(runtime.table(ty)));
        }
        let references = point.layout.references;
        if references > 0 {
            self.out.global_plus(runtime.ref_sp, references as i32);
            self.out.global_set(runtime.ref_sp);
        }
        let (what, bytes) = (self.temporary(Temporary::Point), self.temporary(Temporary::Bytes));
        self.out.i64(pair(self.first_point + number, references));
        self.out.set(what);
        self.out.i32(point.layout.bytes as i32);
        self.out.set(bytes);
        self.leave_to(next);
    }

    /// Writes values into the frame.
    pub(super) fn save(&mut self, values: &[(Var, ValType, u32)], next: NodeId) {
        let runtime = self.shared.runtime;
        let base = self.temporary(Temporary::Base);
        self.out.global_get(runtime.sp);
        self.out.set(base);
        for &(var, ty, at) in values {
            let local = self.var(var);
            self.out.get(base);
            self.out.get(local);
            self.out.store(runtime.frames, ty, at);
        }
        self.leave_to(next);
    }

    /// Writes the trailer and returns.
    pub(super) fn leave(&mut self) {
        let (what, bytes) = (self.temporary(Temporary::Point), self.temporary(Temporary::Bytes));
        let slot = self.slot;
        let runtime = self.shared.runtime;
        self.out.trailer(&runtime, what, bytes, slot);
        for ty in &self.graph.results {
            self.out.zero(*ty);
        }
        self.out.i64(abi::UNWIND);
        self.out.return_();
    }
}

/// Where a dispatch leads to one target for one point, and to another for all the others: the point,
/// its target, the other one.
fn either(first: u32, targets: &[NodeId]) -> Option<(u32, NodeId, NodeId)> {
    let there = || (first..).zip(targets.iter().copied()).filter(|(_, target)| *target != NONE);
    let (_, one) = there().next()?;
    let (_, two) = there().find(|(_, target)| *target != one)?;
    for (single, other) in [(one, two), (two, one)] {
        let mut points = there().filter(|(_, target)| *target != other);
        let point = points.next()?;
        if point.1 == single && points.next().is_none() {
            return Some((point.0, single, other));
        }
    }
    None
}
