//! Writing the code of one function.

use std::collections::HashMap;

use wasm_encoder::{BlockType, Catch, Encode, HeapType, Instruction, MemArg, RefType};

use crate::abi;
use crate::metadata::ValType;
use crate::types::{self, Signature, WasmType, kind};

/// A function body with the branch hints of its code.
#[derive(Debug, Default)]
pub(crate) struct Body {
    /// Locals and code, without the length in front.
    pub bytes: Vec<u8>,
    /// Offsets in `bytes` of branches, and whether they are likely.
    pub hints: Vec<(u32, bool)>,
}

/// Code being written.
#[derive(Debug)]
pub(crate) struct Code {
    bytes: Vec<u8>,
    hints: Vec<(u32, bool)>,
    /// Open control instructions, the function not counted.
    depth: u32,
    params: u32,
    /// Types of the locals behind the parameters.
    locals: Vec<WasmType>,
}

/// An open control instruction, by the depth that it opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label(u32);

/// A local.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Local(pub u32);

/// What the instrumenter adds to every module: indices in the instrumented module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Runtime {
    pub fuel: u32,
    pub debt: u32,
    pub sp: u32,
    pub ref_sp: u32,
    /// Global: the resume point of the frame being rebuilt.
    pub point: u32,
    pub frames: u32,
    /// The shadow tables, where there are any.
    pub refs: Option<u32>,
    pub refs_extern: Option<u32>,
    pub refs_exn: Option<u32>,
    /// Global: an exception that the driver has caught. Only where any function catches.
    pub exception: Option<u32>,
}

impl Runtime {
    /// The shadow table for references of a kind.
    pub fn table(&self, kind: ValType) -> u32 {
        let table = match kind {
            ValType::FuncRef => self.refs,
            ValType::ExternRef => self.refs_extern,
            ValType::ExnRef => self.refs_exn,
            _ => None,
        };
        table.expect("there is a shadow table for every kind of reference in frames and results")
    }
}

impl Code {
    /// A function with that many parameters.
    pub fn new(params: usize) -> Code {
        Code {
            bytes: Vec::new(),
            hints: Vec::new(),
            depth: 0,
            params: params as u32,
            locals: Vec::new(),
        }
    }

    /// A new local.
    pub fn local(&mut self, ty: WasmType) -> Local {
        self.locals.push(ty);
        Local(self.params + self.locals.len() as u32 - 1)
    }

    /// The finished body.
    pub fn finish(self) -> Body {
        debug_assert_eq!(self.depth, 0);
        let mut runs: Vec<(u32, WasmType)> = Vec::new();
        for ty in &self.locals {
            match runs.last_mut() {
                Some((count, last)) if last == ty => *count += 1,
                _ => runs.push((1, *ty)),
            }
        }
        let mut bytes = Vec::with_capacity(self.bytes.len() + 8 + 3 * runs.len());
        runs.len().encode(&mut bytes);
        for (count, ty) in runs {
            count.encode(&mut bytes);
            ty.encode(&mut bytes);
        }
        let before = bytes.len() as u32;
        bytes.extend_from_slice(&self.bytes);
        Instruction::End.encode(&mut bytes);
        let hints = self.hints.into_iter().map(|(at, likely)| (at + before, likely)).collect();
        Body { bytes, hints }
    }

    /// Appends encoded instructions.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends an instruction that neither opens nor closes a block nor names a label.
    pub fn push(&mut self, instruction: &Instruction<'_>) {
        instruction.encode(&mut self.bytes);
    }

    fn open(&mut self, instruction: &Instruction<'_>) -> Label {
        self.push(instruction);
        self.depth += 1;
        Label(self.depth)
    }

    /// `block`
    pub fn block(&mut self) -> Label {
        self.open(&Instruction::Block(BlockType::Empty))
    }

    /// `block` with results.
    pub fn block_of(&mut self, ty: BlockType) -> Label {
        self.open(&Instruction::Block(ty))
    }

    /// `loop`
    pub fn loop_(&mut self) -> Label {
        self.open(&Instruction::Loop(BlockType::Empty))
    }

    /// `if`
    pub fn if_(&mut self) -> Label {
        self.open(&Instruction::If(BlockType::Empty))
    }

    /// `if`, with the hint that it is not taken.
    pub fn if_unlikely(&mut self) -> Label {
        self.hints.push((self.bytes.len() as u32, false));
        self.if_()
    }

    /// `try_table`; the labels are those of blocks around it.
    pub fn try_table(&mut self, catches: &[(Option<u32>, bool, Label)]) -> Label {
        let catches: Vec<Catch> = catches
            .iter()
            .map(|(tag, reference, label)| {
                let label = self.relative(*label);
                match (*tag, *reference) {
                    (Some(tag), false) => Catch::One { tag, label },
                    (Some(tag), true) => Catch::OneRef { tag, label },
                    (None, false) => Catch::All { label },
                    (None, true) => Catch::AllRef { label },
                }
            })
            .collect();
        self.open(&Instruction::TryTable(BlockType::Empty, catches.into()))
    }

    /// Closes the innermost open control instruction.
    pub fn end(&mut self) {
        self.push(&Instruction::End);
        self.depth -= 1;
    }

    fn relative(&self, label: Label) -> u32 {
        debug_assert!(label.0 <= self.depth, "a label is only branched to while it is open");
        self.depth - label.0
    }

    pub fn br(&mut self, label: Label) {
        let label = self.relative(label);
        self.push(&Instruction::Br(label));
    }

    pub fn br_if(&mut self, label: Label) {
        let label = self.relative(label);
        self.push(&Instruction::BrIf(label));
    }

    /// `br_if` with a branch hint.
    pub fn br_if_hinted(&mut self, label: Label, likely: bool) {
        self.hints.push((self.bytes.len() as u32, likely));
        self.br_if(label);
    }

    pub fn br_table(&mut self, labels: &[Label], default: Label) {
        let labels: Vec<u32> = labels.iter().map(|label| self.relative(*label)).collect();
        let default = self.relative(default);
        self.push(&Instruction::BrTable(labels.into(), default));
    }

    pub fn unreachable(&mut self) {
        self.push(&Instruction::Unreachable);
    }

    pub fn return_(&mut self) {
        self.push(&Instruction::Return);
    }

    pub fn i32(&mut self, value: i32) {
        self.push(&Instruction::I32Const(value));
    }

    pub fn i64(&mut self, value: i64) {
        self.push(&Instruction::I64Const(value));
    }

    pub fn get(&mut self, local: Local) {
        self.push(&Instruction::LocalGet(local.0));
    }

    pub fn set(&mut self, local: Local) {
        self.push(&Instruction::LocalSet(local.0));
    }

    pub fn tee(&mut self, local: Local) {
        self.push(&Instruction::LocalTee(local.0));
    }

    pub fn global_get(&mut self, global: u32) {
        self.push(&Instruction::GlobalGet(global));
    }

    pub fn global_set(&mut self, global: u32) {
        self.push(&Instruction::GlobalSet(global));
    }

    /// `fuel < limit`
    pub fn fuel_below(&mut self, fuel: Local, limit: i64) {
        self.get(fuel);
        self.i64(limit);
        self.push(&Instruction::I64LtS);
    }

    /// `fuel -= charge`
    pub fn pay(&mut self, fuel: Local, charge: i64) {
        if charge != 0 {
            self.get(fuel);
            self.i64(charge);
            self.push(&Instruction::I64Sub);
            self.set(fuel);
        }
    }

    /// Puts on the debt what the fuel is below its floor.
    pub fn owe(&mut self, runtime: &Runtime, fuel: Local) {
        self.global_get(runtime.debt);
        self.i64(abi::DEBT_FLOOR);
        self.get(fuel);
        self.push(&Instruction::I64Sub);
        self.push(&Instruction::I64Add);
        self.global_set(runtime.debt);
        self.i64(abi::DEBT_FLOOR);
        self.set(fuel);
    }

    /// Loads a value from the frame memory; the address is on the stack.
    pub fn load(&mut self, memory: u32, ty: ValType, offset: u32) {
        let at = |align| MemArg { offset: u64::from(offset), align, memory_index: memory };
        self.push(&match ty {
            ValType::I32 => Instruction::I32Load(at(2)),
            ValType::I64 => Instruction::I64Load(at(3)),
            ValType::F32 => Instruction::F32Load(at(2)),
            ValType::F64 => Instruction::F64Load(at(3)),
            ValType::V128 => Instruction::V128Load(at(4)),
            _ => unreachable!("references are in the shadow tables"),
        });
    }

    /// Stores a value to the frame memory; address and value are on the stack.
    pub fn store(&mut self, memory: u32, ty: ValType, offset: u32) {
        let at = |align| MemArg { offset: u64::from(offset), align, memory_index: memory };
        self.push(&match ty {
            ValType::I32 => Instruction::I32Store(at(2)),
            ValType::I64 => Instruction::I64Store(at(3)),
            ValType::F32 => Instruction::F32Store(at(2)),
            ValType::F64 => Instruction::F64Store(at(3)),
            ValType::V128 => Instruction::V128Store(at(4)),
            _ => unreachable!("references are in the shadow tables"),
        });
    }

    /// Takes a reference of type `ty` from the shadow table; the index is on the stack.
    pub fn reference(&mut self, runtime: &Runtime, ty: WasmType) {
        self.push(&Instruction::TableGet(runtime.table(kind(ty))));
        if let WasmType::Ref(ty) = ty
            && types::needs_cast(ty)
        {
            self.push(&Instruction::RefCastNullable(ty.heap_type));
        }
    }

    /// Pushes the zero of a type.
    pub fn zero(&mut self, ty: WasmType) {
        self.push(&match ty {
            WasmType::I32 => Instruction::I32Const(0),
            WasmType::I64 => Instruction::I64Const(0),
            WasmType::F32 => Instruction::F32Const(0.0f32.into()),
            WasmType::F64 => Instruction::F64Const(0.0f64.into()),
            WasmType::V128 => Instruction::V128Const(0),
            WasmType::Ref(RefType { heap_type, .. }) => Instruction::RefNull(heap_type),
        });
    }

    /// `global + offset`
    pub fn global_plus(&mut self, global: u32, offset: i32) {
        self.global_get(global);
        if offset != 0 {
            self.i32(offset);
            self.push(&Instruction::I32Add);
        }
    }

    /// Writes the trailer of a frame that has been written from the end of the continuation on, and
    /// takes the frame in. `what` holds its first two words, `bytes` its size without the trailer.
    pub fn trailer(&mut self, runtime: &Runtime, what: Local, bytes: Local, slot: u32) {
        let end = |out: &mut Code| {
            out.global_get(runtime.sp);
            out.get(bytes);
            out.push(&Instruction::I32Add);
        };
        end(self);
        self.get(what);
        self.store(runtime.frames, ValType::I64, 0);
        end(self);
        self.get(bytes);
        self.push(&Instruction::I64ExtendI32U);
        self.i64(32);
        self.push(&Instruction::I64Shl);
        self.i64(pair(slot, abi::TRAILER_BYTES));
        self.push(&Instruction::I64Add);
        self.store(runtime.frames, ValType::I64, 8);
        end(self);
        self.i32(abi::TRAILER_BYTES as i32);
        self.push(&Instruction::I32Add);
        self.global_set(runtime.sp);
    }
}

/// Two words as they follow one another in memory.
pub(crate) fn pair(low: u32, high: u32) -> i64 {
    (u64::from(low) | u64::from(high) << 32) as i64
}

/// The function types of the instrumented module: those of the original, with the fuel, under their
/// indices, and more behind them.
#[derive(Debug)]
pub(crate) struct Types {
    original: u32,
    added: Vec<Signature>,
    known: HashMap<Signature, u32>,
}

impl Types {
    /// The types of a module that has that many of its own.
    pub fn new(original: usize) -> Types {
        Types { original: original as u32, added: Vec::new(), known: HashMap::new() }
    }

    /// The index of a type that is as it is, without the fuel.
    pub fn plain(&mut self, signature: &Signature) -> u32 {
        if let Some(index) = self.known.get(signature) {
            return *index;
        }
        let index = self.original + self.added.len() as u32;
        self.added.push(signature.clone());
        self.known.insert(signature.clone(), index);
        index
    }

    /// The types behind the original's.
    pub fn added(&self) -> &[Signature] {
        &self.added
    }
}

/// The block type for a block that leaves `types` on the stack.
pub(crate) fn block_type(types: &mut Types, results: &[WasmType]) -> BlockType {
    match results {
        [] => BlockType::Empty,
        [one] => BlockType::Result(*one),
        _ => BlockType::FunctionType(
            types.plain(&Signature { params: Vec::new(), results: results.to_vec() }),
        ),
    }
}

/// The heap type of a nullable reference to functions of a type.
pub(crate) fn reference_to(ty: u32) -> WasmType {
    WasmType::Ref(RefType { nullable: true, heap_type: HeapType::Concrete(ty) })
}
