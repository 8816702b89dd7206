//! Writing instruction sequences.

use walrus::ir::{
    self, BinaryOp, Instr, InstrLocId, InstrSeqId, LoadKind, LocalId, MemArg, StoreKind, UnaryOp,
    Value,
};
use walrus::{GlobalId, MemoryId, RefType, TableId};

use crate::abi;
use crate::metadata::ValType;

/// Instructions being written; the location is not used.
#[derive(Debug, Default)]
pub(crate) struct Code(pub Vec<(Instr, InstrLocId)>);

/// What the instrumenter adds to every module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Runtime {
    pub fuel: GlobalId,
    pub debt: GlobalId,
    pub sp: GlobalId,
    pub ref_sp: GlobalId,
    pub frames: MemoryId,
    pub refs: TableId,
}

impl Code {
    pub fn push(&mut self, instr: impl Into<Instr>) {
        self.0.push((instr.into(), InstrLocId::default()));
    }

    pub fn i32(&mut self, value: i32) {
        self.push(ir::Const { value: Value::I32(value) });
    }

    pub fn i64(&mut self, value: i64) {
        self.push(ir::Const { value: Value::I64(value) });
    }

    pub fn get(&mut self, local: LocalId) {
        self.push(ir::LocalGet { local });
    }

    pub fn set(&mut self, local: LocalId) {
        self.push(ir::LocalSet { local });
    }

    pub fn tee(&mut self, local: LocalId) {
        self.push(ir::LocalTee { local });
    }

    pub fn global_get(&mut self, global: GlobalId) {
        self.push(ir::GlobalGet { global });
    }

    pub fn global_set(&mut self, global: GlobalId) {
        self.push(ir::GlobalSet { global });
    }

    pub fn binary(&mut self, op: BinaryOp) {
        self.push(ir::Binop { op });
    }

    pub fn unary(&mut self, op: UnaryOp) {
        self.push(ir::Unop { op });
    }

    pub fn br(&mut self, block: InstrSeqId) {
        self.push(ir::Br { block });
    }

    pub fn br_if(&mut self, block: InstrSeqId) {
        self.push(ir::BrIf { block });
    }

    /// `if consequent end`.
    pub fn if_then(&mut self, consequent: InstrSeqId, nothing: InstrSeqId) {
        self.push(ir::IfElse { consequent, alternative: nothing });
    }

    pub fn unreachable(&mut self) {
        self.push(ir::Unreachable {});
    }

    /// `fuel < limit`. The emitter gives a branch behind this the hint that it is not taken.
    pub fn fuel_below(&mut self, fuel: LocalId, limit: i64) {
        self.get(fuel);
        self.i64(limit);
        self.binary(BinaryOp::I64LtS);
    }

    /// `fuel >= limit`. The emitter gives a branch behind this the hint that it is taken.
    pub fn fuel_suffices(&mut self, fuel: LocalId, limit: i64) {
        self.get(fuel);
        self.i64(limit);
        self.binary(BinaryOp::I64GeS);
    }

    /// `fuel -= charge`.
    pub fn pay(&mut self, fuel: LocalId, charge: i64) {
        if charge != 0 {
            self.get(fuel);
            self.i64(charge);
            self.binary(BinaryOp::I64Sub);
            self.set(fuel);
        }
    }

    /// Loads a value from the frame memory; the address is on the stack.
    pub fn load(&mut self, memory: MemoryId, ty: ValType, offset: u32) {
        let (kind, align) = match ty {
            ValType::I32 => (LoadKind::I32 { atomic: false }, 4),
            ValType::I64 => (LoadKind::I64 { atomic: false }, 8),
            ValType::F32 => (LoadKind::F32, 4),
            ValType::F64 => (LoadKind::F64, 8),
            ValType::V128 => (LoadKind::V128, 16),
            ValType::FuncRef => unreachable!("references are in the shadow table"),
        };
        self.push(ir::Load { memory, kind, arg: MemArg { align, offset: u64::from(offset) } });
    }

    /// Stores a value to the frame memory; address and value are on the stack.
    pub fn store(&mut self, memory: MemoryId, ty: ValType, offset: u32) {
        let (kind, align) = match ty {
            ValType::I32 => (StoreKind::I32 { atomic: false }, 4),
            ValType::I64 => (StoreKind::I64 { atomic: false }, 8),
            ValType::F32 => (StoreKind::F32, 4),
            ValType::F64 => (StoreKind::F64, 8),
            ValType::V128 => (StoreKind::V128, 16),
            ValType::FuncRef => unreachable!("references are in the shadow table"),
        };
        self.push(ir::Store { memory, kind, arg: MemArg { align, offset: u64::from(offset) } });
    }

    /// Pushes the zero of a type.
    pub fn zero(&mut self, ty: ValType) {
        let value = match ty {
            ValType::I32 => Value::I32(0),
            ValType::I64 => Value::I64(0),
            ValType::F32 => Value::F32(0.0),
            ValType::F64 => Value::F64(0.0),
            ValType::V128 => Value::V128(0),
            ValType::FuncRef => {
                self.push(ir::RefNull { ty: RefType::FUNCREF });
                return;
            }
        };
        self.push(ir::Const { value });
    }

    /// `global + offset`.
    pub fn global_plus(&mut self, global: GlobalId, offset: i32) {
        self.global_get(global);
        if offset != 0 {
            self.i32(offset);
            self.binary(BinaryOp::I32Add);
        }
    }

    /// Writes a frame's trailer; `base` is the frame's start.
    pub fn trailer(
        &mut self,
        runtime: &Runtime,
        base: LocalId,
        bytes: u32,
        (point, references): (u32, u32),
        slot: u32,
    ) {
        let pair = |low: u32, high: u32| (u64::from(low) | u64::from(high) << 32) as i64;
        self.get(base);
        self.i64(pair(point, references));
        self.store(runtime.frames, ValType::I64, bytes);
        self.get(base);
        self.i64(pair(slot, bytes + abi::TRAILER_BYTES));
        self.store(runtime.frames, ValType::I64, bytes + 8);
        self.get(base);
        self.i32((bytes + abi::TRAILER_BYTES) as i32);
        self.binary(BinaryOp::I32Add);
        self.global_set(runtime.sp);
    }
}

/// A value type in walrus's terms.
pub(crate) fn to_walrus(ty: ValType) -> walrus::ValType {
    match ty {
        ValType::I32 => walrus::ValType::I32,
        ValType::I64 => walrus::ValType::I64,
        ValType::F32 => walrus::ValType::F32,
        ValType::F64 => walrus::ValType::F64,
        ValType::V128 => walrus::ValType::V128,
        ValType::FuncRef => walrus::ValType::Ref(RefType::FUNCREF),
    }
}

/// Value types in walrus's terms, with the fuel behind them.
pub(crate) fn threaded(types: &[ValType]) -> Vec<walrus::ValType> {
    types.iter().copied().map(to_walrus).chain([walrus::ValType::I64]).collect()
}
