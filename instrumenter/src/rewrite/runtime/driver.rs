//! The driver: the code that runs a continuation. See [`crate::abi`].

use std::collections::HashMap;

use wasm_encoder::{BlockType, ExportKind, Instruction};

use Way::{Back, Forth};

use super::{Additions, Areas};
use crate::abi::{self, limits};
use crate::facts::ModuleFacts;
use crate::metadata::ValType;
use crate::rewrite::code::{Code, Local, Runtime};
use crate::types::{EXNREF, Signature, WasmType, kind};

/// A function that has resume code, as the driver needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resumable {
    /// What to call.
    pub function: u32,
    /// Its canonical type.
    pub ty: u32,
}

/// Functions that one resumer calls at most.
const GROUP: usize = 1 << 10;

/// Adds the driver. `resumables` are in the order of their slots; `references` tells whether any
/// frame holds a reference.
pub(crate) fn add_driver(
    add: &mut Additions,
    facts: &ModuleFacts,
    (runtime, areas): (&Runtime, Areas),
    resumables: &[Resumable],
    references: bool,
) {
    let groups = (0..).step_by(GROUP).zip(resumables.chunks(GROUP));
    let resumers = groups.map(|group| add_resumer(add, runtime, facts, group)).collect();
    let resumers = add.function_table(resumers);
    let reverse = add_reverse(add, runtime, references);
    let run = add_run(add, runtime, (areas, references), resumers, reverse);
    add.exports.push((abi::RUN.to_owned(), ExportKind::Func, run));
    if shadow_tables(runtime).next().is_some() {
        add_references(add, runtime);
    }
}

/// What the engine does to the shadow tables: the host could only do it element by element.
fn add_references(add: &mut Additions, runtime: &Runtime) {
    let (from, to) = (Local(0), Local(1));
    let mut grow = Code::new(1);
    grow_tables(&mut grow, runtime, from);
    let mut forget = Code::new(2);
    forget_references(&mut forget, runtime, |out| out.get(from), to);
    for (name, code, params) in
        [(abi::GROW_REFERENCES, grow, 1), (abi::FORGET_REFERENCES, forget, 2)]
    {
        let ty = add.types.plain(&signature(&[WasmType::I32; 2][..params], &[]));
        let function = add.function(name.to_owned(), ty, code);
        add.exports.push((name.to_owned(), ExportKind::Func, function));
    }
}

fn signature(params: &[WasmType], results: &[WasmType]) -> Signature {
    Signature { params: params.to_vec(), results: results.to_vec() }
}

/// `(func (param $slot i32) (result i64))`: calls a function of a group so that it rebuilds its
/// frame, and puts its results into the result area, or an exception into its global. Returns the
/// fuel.
///
/// They are called one by one because each function in a table costs an entry point for the host,
/// which has to be compiled.
fn add_resumer(
    add: &mut Additions,
    runtime: &Runtime,
    facts: &ModuleFacts,
    (first, group): (i32, &[Resumable]),
) -> u32 {
    let mut out = Code::new(1);
    let mut locals = HashMap::new();
    let fuel = out.local(WasmType::I64);
    let caught = runtime.exception.map(|exception| {
        let returned = out.block();
        let caught = out.block_of(BlockType::Result(EXNREF));
        out.try_table(&[(None, true, caught)]);
        (exception, returned)
    });
    let called = out.block();
    // The block of the first function is the innermost.
    let mut labels: Vec<_> = group.iter().map(|_| out.block()).collect();
    labels.reverse();
    out.get(Local(0));
    if first > 0 {
        out.i32(first);
        out.push(&Instruction::I32Sub);
    }
    out.br_table(&labels[..labels.len() - 1], labels[labels.len() - 1]);
    for resumable in group {
        let ty = &facts.types[resumable.ty as usize];
        out.end();
        ty.params.iter().for_each(|ty| out.zero(*ty));
        out.i64(abi::REWIND);
        out.push(&Instruction::Call(resumable.function));
        out.set(fuel);
        for (at, ty) in ty.results.iter().enumerate().rev() {
            let result = *locals.entry(*ty).or_insert_with(|| out.local(*ty));
            store_result(&mut out, runtime, (at as i32, *ty), result);
        }
        out.br(called);
    }
    out.end();
    if let Some((exception, returned)) = caught {
        out.br(returned);
        out.end();
        out.unreachable();
        out.end();
        out.global_set(exception);
        out.global_get(runtime.fuel);
        out.return_();
        out.end();
    }
    out.get(fuel);
    let ty = add.types.plain(&signature(&[WasmType::I32], &[WasmType::I64]));
    add.function("tasklet.resume".to_owned(), ty, out)
}

/// Puts the result on the stack into the result area.
fn store_result(out: &mut Code, runtime: &Runtime, (at, ty): (i32, WasmType), result: Local) {
    out.set(result);
    let ty = kind(ty);
    if ty.is_reference() {
        out.i32(at);
        out.get(result);
        out.push(&Instruction::TableSet(runtime.table(ty)));
    } else {
        out.i32(at * abi::RESULT_BYTES as i32);
        out.get(result);
        out.store(runtime.frames, ty, 0);
    }
}

/// Loads a word of the trailer of the frame whose end is on the stack.
fn trailer_word(out: &mut Code, runtime: &Runtime, back: i32) {
    out.i32(back);
    out.push(&Instruction::I32Sub);
    out.load(runtime.frames, ValType::I32, 0);
}

/// Words of the trailer, by their distance from its end.
const SIZE: i32 = 4;
const SLOT: i32 = 8;
const REFERENCES: i32 = 12;
const POINT: i32 = 16;

/// `(func (result i32))`: see [`crate::abi`].
fn add_run(
    add: &mut Additions,
    runtime: &Runtime,
    (areas, references): (Areas, bool),
    resumers: u32,
    reverse: u32,
) -> u32 {
    let mut out = Code::new(0);
    let (start, first) = (out.local(WasmType::I32), out.local(WasmType::I32));
    let fuel = out.local(WasmType::I64);
    let resumer = add.types.plain(&signature(&[WasmType::I32], &[WasmType::I64]));
    reserve(&mut out, runtime, start, references);
    let done = out.block();
    let next = out.loop_();
    out.global_get(runtime.sp);
    out.i32(areas.frames_base as i32);
    out.push(&Instruction::I32Eq);
    out.br_if(done);
    for (stack, word, to) in [(runtime.sp, SIZE, start), (runtime.ref_sp, REFERENCES, first)] {
        out.global_get(stack);
        out.global_get(runtime.sp);
        trailer_word(&mut out, runtime, word);
        out.push(&Instruction::I32Sub);
        out.set(to);
    }
    let slot = out.local(WasmType::I32);
    for (word, to) in [(SLOT, None), (POINT, Some(runtime.point))] {
        out.global_get(runtime.sp);
        trailer_word(&mut out, runtime, word);
        match to {
            None => out.set(slot),
            Some(global) => out.global_set(global),
        }
    }
    // The frame is taken off first: what is left of it is read before anything is written.
    for (stack, to) in [(runtime.sp, start), (runtime.ref_sp, first)] {
        out.get(to);
        out.global_set(stack);
    }
    out.get(slot);
    out.get(slot);
    out.i32(GROUP as i32);
    out.push(&Instruction::I32DivU);
    out.push(&Instruction::CallIndirect { type_index: resumer, table_index: resumers });
    out.set(fuel);
    let paused = out.block();
    out.fuel_below(fuel, abi::SENTINEL_LIMIT);
    out.br_if(paused);
    out.fuel_below(fuel, abi::DEBT_FLOOR);
    out.if_unlikely();
    out.owe(runtime, fuel);
    out.end();
    out.get(fuel);
    out.global_set(runtime.fuel);
    out.br(next);
    out.end();
    out.get(start);
    out.get(first);
    out.push(&Instruction::Call(reverse));
    out.i32(abi::RUN_PAUSED);
    out.return_();
    out.end();
    out.end();
    if let Some(exception) = runtime.exception {
        // One that has left the outermost frame goes to the host.
        let thrown = out.local(EXNREF);
        out.global_get(exception);
        out.tee(thrown);
        out.push(&Instruction::RefIsNull);
        out.push(&Instruction::I32Eqz);
        out.if_();
        out.zero(EXNREF);
        out.global_set(exception);
        out.get(thrown);
        out.push(&Instruction::ThrowRef);
        out.end();
    }
    out.i32(abi::RUN_FINISHED);
    let ty = add.types.plain(&signature(&[], &[WasmType::I32]));
    add.function(abi::RUN.to_owned(), ty, out)
}

/// Makes sure that a whole native stack can be spilled.
fn reserve(out: &mut Code, runtime: &Runtime, needed: Local, references: bool) {
    out.global_get(runtime.sp);
    out.i32(16);
    out.push(&Instruction::I32ShrU);
    out.i32(limits::FRAME_PAGES_RESERVE as i32 + 1);
    out.push(&Instruction::I32Add);
    out.set(needed);
    grow_memory(out, runtime, needed);
    if references {
        out.global_get(runtime.ref_sp);
        out.i32(limits::REFS_RESERVE as i32);
        out.push(&Instruction::I32Add);
        out.set(needed);
        grow_tables(out, runtime, needed);
    }
}

/// Grows the frame memory to at least `needed` pages.
fn grow_memory(out: &mut Code, runtime: &Runtime, needed: Local) {
    out.get(needed);
    out.push(&Instruction::MemorySize(runtime.frames));
    out.push(&Instruction::I32GtS);
    out.if_();
    out.get(needed);
    out.push(&Instruction::MemorySize(runtime.frames));
    out.push(&Instruction::I32Sub);
    out.push(&Instruction::MemoryGrow(runtime.frames));
    trap_if_minus_one(out);
    out.end();
}

fn shadow_tables(runtime: &Runtime) -> impl Iterator<Item = (ValType, u32)> {
    [
        (ValType::FuncRef, runtime.refs),
        (ValType::ExternRef, runtime.refs_extern),
        (ValType::ExnRef, runtime.refs_exn),
    ]
    .into_iter()
    .filter_map(|(kind, table)| Some((kind, table?)))
}

/// Grows the shadow tables to at least `needed` elements.
fn grow_tables(out: &mut Code, runtime: &Runtime, needed: Local) {
    for (kind, table) in shadow_tables(runtime) {
        out.get(needed);
        out.push(&Instruction::TableSize(table));
        out.push(&Instruction::I32GtS);
        out.if_();
        null(out, kind);
        out.get(needed);
        out.push(&Instruction::TableSize(table));
        out.push(&Instruction::I32Sub);
        out.push(&Instruction::TableGrow(table));
        trap_if_minus_one(out);
        out.end();
    }
}

/// Nulls what keeps something alive in the shadow tables, from an index up to `to`.
fn forget_references(out: &mut Code, runtime: &Runtime, from: impl Fn(&mut Code), to: Local) {
    for (kind, table) in shadow_tables(runtime).filter(|(kind, _)| *kind != ValType::FuncRef) {
        from(out);
        null(out, kind);
        out.get(to);
        from(out);
        out.push(&Instruction::I32Sub);
        out.push(&Instruction::TableFill(table));
    }
}

fn null(out: &mut Code, kind: ValType) {
    out.zero(match kind {
        ValType::ExternRef => WasmType::Ref(wasm_encoder::RefType::EXTERNREF),
        ValType::ExnRef => EXNREF,
        _ => crate::types::FUNCREF,
    });
}

fn trap_if_minus_one(out: &mut Code) {
    out.i32(-1);
    out.push(&Instruction::I32Eq);
    out.if_();
    out.unreachable();
    out.end();
}

/// `(func (param $start i32) (param $first i32))`: unwinding has written the frames from `$start`
/// innermost first; puts the outermost first, as the driver takes them from the end.
fn add_reverse(add: &mut Additions, runtime: &Runtime, references: bool) -> u32 {
    let (start, first) = (Local(0), Local(1));
    let mut out = Code::new(2);
    let [bytes, count, from, from_ref, end_ref, size, needed] =
        std::array::from_fn(|_| out.local(WasmType::I32));
    for (global, local, to) in [(runtime.sp, start, bytes), (runtime.ref_sp, first, count)] {
        out.global_get(global);
        out.get(local);
        out.push(&Instruction::I32Sub);
        out.set(to);
    }
    // A single frame, the usual case, is in order already.
    out.global_get(runtime.sp);
    trailer_word(&mut out, runtime, SIZE);
    out.get(bytes);
    out.push(&Instruction::I32Eq);
    out.if_();
    out.return_();
    out.end();

    // A copy of all frames above the stack, from whose end they are taken one by one.
    move_by(&mut out, |out| out.global_get(runtime.sp), Forth(bytes), from);
    out.get(from);
    out.i32(65_535);
    out.push(&Instruction::I32Add);
    out.i32(16);
    out.push(&Instruction::I32ShrU);
    out.set(needed);
    grow_memory(&mut out, runtime, needed);
    let frames = runtime.frames;
    let copy_frames = Instruction::MemoryCopy { src_mem: frames, dst_mem: frames };
    copy(&mut out, |out| out.global_get(runtime.sp), (start, bytes), &copy_frames);
    move_by(&mut out, |out| out.global_get(runtime.ref_sp), Forth(count), from_ref);
    if references {
        grow_tables(&mut out, runtime, from_ref);
        for (_, table) in shadow_tables(runtime) {
            let instruction = Instruction::TableCopy { src_table: table, dst_table: table };
            copy(&mut out, |out| out.global_get(runtime.ref_sp), (first, count), &instruction);
        }
        out.get(from_ref);
        out.set(end_ref);
    }

    let again = out.loop_();
    for (word, to) in [(SIZE, size), (REFERENCES, count)] {
        out.get(from);
        trailer_word(&mut out, runtime, word);
        out.set(to);
    }
    move_by(&mut out, |out| out.get(from), Back(size), from);
    copy(&mut out, |out| out.get(start), (from, size), &copy_frames);
    move_by(&mut out, |out| out.get(start), Forth(size), start);
    if references {
        move_by(&mut out, |out| out.get(from_ref), Back(count), from_ref);
        for (_, table) in shadow_tables(runtime) {
            let instruction = Instruction::TableCopy { src_table: table, dst_table: table };
            copy(&mut out, |out| out.get(first), (from_ref, count), &instruction);
        }
        move_by(&mut out, |out| out.get(first), Forth(count), first);
    }
    out.get(from);
    out.global_get(runtime.sp);
    out.push(&Instruction::I32Ne);
    out.br_if(again);
    out.end();
    if references {
        forget_references(&mut out, runtime, |out| out.global_get(runtime.ref_sp), end_ref);
    }
    let ty = add.types.plain(&signature(&[WasmType::I32, WasmType::I32], &[]));
    add.function("tasklet.reverse".to_owned(), ty, out)
}

/// A length, and which way.
enum Way {
    Forth(Local),
    Back(Local),
}

/// `to = from +- length`
fn move_by(out: &mut Code, from: impl Fn(&mut Code), way: Way, to: Local) {
    from(out);
    let (length, instruction) = match way {
        Forth(length) => (length, Instruction::I32Add),
        Back(length) => (length, Instruction::I32Sub),
    };
    out.get(length);
    out.push(&instruction);
    out.set(to);
}

/// Copies `length` from `from` to `to`.
fn copy(
    out: &mut Code,
    to: impl Fn(&mut Code),
    (from, length): (Local, Local),
    copy: &Instruction<'_>,
) {
    to(out);
    out.get(from);
    out.get(length);
    out.push(copy);
}
