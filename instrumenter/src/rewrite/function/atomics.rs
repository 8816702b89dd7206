//! Atomic instructions on memories that are not shared.
//!
//! There nobody can come between, so each is written as the plain accesses that it stands for. That
//! needs nothing of the compiler, which for wasmtime's interpreter has no atomics. What an access that
//! is not aligned does, or one that waits where nobody could wake it, is a trap either way, but by
//! `unreachable`.
//!
//! Opcodes are regular: seven widths of each operation, in the order of [`WIDTHS`]
//! (<https://webassembly.github.io/threads/core/binary/instructions.html#atomic-memory-instructions>).

use wasm_encoder::{Instruction, MemArg};

use super::Rewriter;
use crate::rewrite::code::Local;
use crate::types::WasmType;

/// Bytes in memory, and whether the value is an `i64`.
const WIDTHS: [(u32, bool); 7] =
    [(4, false), (8, true), (1, false), (2, false), (1, true), (2, true), (4, true)];

const NOTIFY: u32 = 0x00;
const WAIT_32: u32 = 0x01;
const WAIT_64: u32 = 0x02;
const FENCE: u32 = 0x03;
const FIRST_LOAD: u32 = 0x10;
const FIRST_STORE: u32 = 0x17;
const FIRST_ADD: u32 = 0x1e;
const FIRST_SUB: u32 = 0x25;
const FIRST_AND: u32 = 0x2c;
const FIRST_OR: u32 = 0x33;
const FIRST_XOR: u32 = 0x3a;
const FIRST_EXCHANGE: u32 = 0x41;
const FIRST_COMPARE: u32 = 0x48;

/// What is accessed.
#[derive(Clone, Copy)]
struct Access {
    bytes: u32,
    wide: bool,
    offset: u64,
    memory: u32,
}

impl Access {
    fn value(self) -> WasmType {
        if self.wide { WasmType::I64 } else { WasmType::I32 }
    }

    fn memarg(self) -> MemArg {
        // An access that is not aligned traps before it.
        let align = self.bytes.trailing_zeros();
        MemArg { offset: self.offset, align, memory_index: self.memory }
    }

    fn load(self) -> Instruction<'static> {
        let at = self.memarg();
        match (self.bytes, self.wide) {
            (1, false) => Instruction::I32Load8U(at),
            (2, false) => Instruction::I32Load16U(at),
            (_, false) => Instruction::I32Load(at),
            (1, true) => Instruction::I64Load8U(at),
            (2, true) => Instruction::I64Load16U(at),
            (4, true) => Instruction::I64Load32U(at),
            (_, true) => Instruction::I64Load(at),
        }
    }

    fn store(self) -> Instruction<'static> {
        let at = self.memarg();
        match (self.bytes, self.wide) {
            (1, false) => Instruction::I32Store8(at),
            (2, false) => Instruction::I32Store16(at),
            (_, false) => Instruction::I32Store(at),
            (1, true) => Instruction::I64Store8(at),
            (2, true) => Instruction::I64Store16(at),
            (4, true) => Instruction::I64Store32(at),
            (_, true) => Instruction::I64Store(at),
        }
    }
}

impl Rewriter<'_> {
    /// The instruction at these offsets of the original.
    pub(super) fn atomic(&mut self, start: u32, end: u32) {
        let code = &self.shared.wasm[start as usize..end as usize];
        let (opcode, access) = decode(code).expect("the function has been validated");
        match opcode {
            FENCE => {}
            // Nobody waits.
            NOTIFY => {
                self.out.push(&Instruction::Drop);
                self.aligned(access);
                self.out.push(&access.load());
                self.out.push(&Instruction::Drop);
                self.out.i32(0);
            }
            WAIT_32 | WAIT_64 => self.out.unreachable(),
            FIRST_LOAD..FIRST_STORE => {
                self.aligned(access);
                self.out.push(&access.load());
            }
            FIRST_STORE..FIRST_ADD => {
                let value = self.held(access.value(), 2);
                self.out.set(value);
                self.aligned(access);
                self.out.get(value);
                self.out.push(&access.store());
            }
            FIRST_COMPARE.. => self.compare_exchange(access),
            _ => self.modify(access, opcode),
        }
    }

    /// The address is on the stack, and stays there, if the access is aligned.
    fn aligned(&mut self, access: Access) -> Local {
        let wide = self.shared.facts.memories[access.memory as usize].memory64;
        let address = self.held(if wide { WasmType::I64 } else { WasmType::I32 }, 1);
        self.out.tee(address);
        if access.bytes == 1 {
            return address;
        }
        let low = access.bytes - 1;
        self.out.get(address);
        if wide {
            self.out.push(&Instruction::I32WrapI64);
        }
        // Of the sum only the lowest bits count.
        let offset = access.offset & u64::from(low);
        if offset != 0 {
            self.out.i32(offset as i32);
            self.out.push(&Instruction::I32Add);
        }
        self.out.i32(low as i32);
        self.out.push(&Instruction::I32And);
        self.out.if_unlikely();
        self.out.unreachable();
        self.out.end();
        address
    }

    /// Reads what is there, and leaves the address on the stack.
    fn read(&mut self, access: Access) -> Local {
        let address = self.aligned(access);
        let old = self.held(access.value(), 5);
        self.out.get(address);
        self.out.push(&access.load());
        self.out.set(old);
        old
    }

    fn modify(&mut self, access: Access, opcode: u32) {
        let value = self.held(access.value(), 2);
        self.out.set(value);
        let old = self.read(access);
        let exchange = (FIRST_EXCHANGE..FIRST_COMPARE).contains(&opcode);
        if !exchange {
            self.out.get(old);
        }
        self.out.get(value);
        match (opcode, access.wide) {
            (FIRST_ADD..FIRST_SUB, false) => self.out.push(&Instruction::I32Add),
            (FIRST_ADD..FIRST_SUB, true) => self.out.push(&Instruction::I64Add),
            (FIRST_SUB..FIRST_AND, false) => self.out.push(&Instruction::I32Sub),
            (FIRST_SUB..FIRST_AND, true) => self.out.push(&Instruction::I64Sub),
            (FIRST_AND..FIRST_OR, false) => self.out.push(&Instruction::I32And),
            (FIRST_AND..FIRST_OR, true) => self.out.push(&Instruction::I64And),
            (FIRST_OR..FIRST_XOR, false) => self.out.push(&Instruction::I32Or),
            (FIRST_OR..FIRST_XOR, true) => self.out.push(&Instruction::I64Or),
            (FIRST_XOR..FIRST_EXCHANGE, false) => self.out.push(&Instruction::I32Xor),
            (FIRST_XOR..FIRST_EXCHANGE, true) => self.out.push(&Instruction::I64Xor),
            _ => {}
        }
        self.out.push(&access.store());
        self.out.get(old);
    }

    /// What is expected is compared in full, also with a part of a value.
    fn compare_exchange(&mut self, access: Access) {
        let (expected, replacement) = (self.held(access.value(), 3), self.held(access.value(), 4));
        self.out.set(replacement);
        self.out.set(expected);
        let old = self.read(access);
        self.out.get(replacement);
        self.out.get(old);
        self.out.get(old);
        self.out.get(expected);
        self.out.push(&match access.wide {
            false => Instruction::I32Eq,
            true => Instruction::I64Eq,
        });
        self.out.push(&Instruction::Select);
        self.out.push(&access.store());
        self.out.get(old);
    }
}

/// The opcode behind the prefix, and what it accesses.
fn decode(code: &[u8]) -> Option<(u32, Access)> {
    let mut numbers = code.get(1..)?;
    let opcode = u32::try_from(number(&mut numbers)?).ok()?;
    let (bytes, wide) = match opcode {
        NOTIFY | WAIT_32 => (4, false),
        WAIT_64 => (8, true),
        _ => WIDTHS[(opcode.saturating_sub(FIRST_LOAD) % 7) as usize],
    };
    let mut access = Access { bytes, wide, offset: 0, memory: 0 };
    if opcode != FENCE {
        let flags = number(&mut numbers)?;
        if flags & (1 << 6) != 0 {
            access.memory = u32::try_from(number(&mut numbers)?).ok()?;
        }
        access.offset = number(&mut numbers)?;
    }
    Some((opcode, access))
}

/// The number in LEB128 that these bytes begin with, which is taken off them. It has been validated.
fn number(code: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = code.split_first()?;
        *code = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
