//! The functions and tables the instrumenter adds: the driver and the wrappers.

use walrus::ir::{self, BinaryOp, UnaryOp};
use walrus::{
    ConstExpr, ElementItems, ElementKind, FunctionBuilder, FunctionId, GlobalId, LocalId, Module,
    RefType, TableId, TypeId, ValType as WasmType,
};

use super::code::{self, Code, Runtime};
use super::function::Identity;
use crate::abi::{self, limits};
use crate::metadata::{Field, FunctionType, Place, ValType};

/// Sizes of the areas in front of the frames.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Areas {
    /// Bytes of the result area.
    pub frames_base: u32,
    /// References among the results.
    pub refs_base: u32,
}

/// Room for the results of any of the function types.
pub(crate) fn areas(types: &[FunctionType]) -> Areas {
    let most = types.iter().map(|ty| ty.results.len()).max().unwrap_or(0) as u32;
    let references = types.iter().any(|ty| ty.results.contains(&ValType::FuncRef));
    Areas {
        frames_base: most.max(1) * abi::RESULT_BYTES,
        refs_base: if references { most } else { 0 },
    }
}

/// Adds the globals, the frame memory and the shadow table, and exports them.
pub(crate) fn add_state(module: &mut Module, areas: Areas) -> Runtime {
    let i32_at = |value: u32| ConstExpr::Value(ir::Value::I32(value as i32));
    let globals = &mut module.globals;
    let fuel = globals.add_local(WasmType::I64, true, false, ConstExpr::Value(ir::Value::I64(0)));
    let debt = globals.add_local(WasmType::I64, true, false, ConstExpr::Value(ir::Value::I64(0)));
    let sp = globals.add_local(WasmType::I32, true, false, i32_at(areas.frames_base));
    let ref_sp = globals.add_local(WasmType::I32, true, false, i32_at(areas.refs_base));
    let pages = u64::from(limits::FRAME_PAGES_RESERVE) + 1;
    let frames =
        module.memories.add_local(false, false, pages, Some(limits::FRAME_PAGES_MAX), None);
    let refs = module.tables.add_local(
        false,
        u64::from(areas.refs_base),
        Some(limits::REFS_MAX),
        RefType::FUNCREF,
    );
    module.exports.add(abi::FUEL, fuel);
    module.exports.add(abi::DEBT, debt);
    module.exports.add(abi::SP, sp);
    module.exports.add(abi::REF_SP, ref_sp);
    module.exports.add(abi::FRAMES, frames);
    module.exports.add(abi::REFS, refs);
    Runtime { fuel, debt, sp, ref_sp, frames, refs }
}

/// A function under construction.
struct Function<'a> {
    module: &'a mut Module,
    builder: FunctionBuilder,
    args: Vec<LocalId>,
}

impl<'a> Function<'a> {
    fn new(module: &'a mut Module, params: &[WasmType], results: &[WasmType]) -> Function<'a> {
        let builder = FunctionBuilder::new(&mut module.types, params, results);
        let args = params.iter().map(|ty| module.locals.add(*ty)).collect();
        Function { module, builder, args }
    }

    fn local(&mut self, ty: WasmType) -> LocalId {
        self.module.locals.add(ty)
    }

    fn nested(&mut self, code: Code) -> ir::InstrSeqId {
        let mut seq = self.builder.dangling_instr_seq(None);
        *seq.instrs_mut() = code.0;
        seq.id()
    }

    fn if_then(&mut self, out: &mut Code, then: Code) {
        let (then, nothing) = (self.nested(then), self.nested(Code::default()));
        out.if_then(then, nothing);
    }

    fn finish(mut self, name: &str, body: Code) -> FunctionId {
        self.builder.name(name.to_owned());
        *self.builder.func_body().instrs_mut() = body.0;
        self.builder.finish(self.args, &mut self.module.funcs)
    }
}

/// Adds the wrapper through which the module calls an imported function.
///
/// ```wat
/// (func $wrapper (param t* i64) (result r* i64)
///   (if (i64.lt_s fuel SENTINEL_LIMIT) (then <reload the arguments> fuel = $tasklet.fuel))
///   $tasklet.fuel = fuel
///   (call $import t*)
///   (if (i64.lt_s $tasklet.fuel SENTINEL_LIMIT) (then <spill the arguments, return zeros>))
///   $tasklet.fuel)
/// ```
///
/// So a call that the host wants to be made again later is one more frame, and wherever an import
/// is called nothing else is needed than for any other call.
pub(crate) fn import_wrapper(
    module: &mut Module,
    runtime: &Runtime,
    import: FunctionId,
    ty: &FunctionType,
    identity: Identity,
    name: &str,
) -> (FunctionId, Vec<Field>, u32) {
    let (fields, bytes, references) = argument_fields(&ty.params);
    let mut f = Function::new(module, &code::threaded(&ty.params), &code::threaded(&ty.results));
    let fuel = f.args[ty.params.len()];
    let base = f.local(WasmType::I32);
    let mut body = Code::default();

    let mut again = Code::default();
    again.global_plus(runtime.sp, -((bytes + abi::TRAILER_BYTES) as i32));
    again.tee(base);
    again.global_set(runtime.sp);
    again.global_plus(runtime.ref_sp, -(references as i32));
    again.global_set(runtime.ref_sp);
    for (arg, field) in f.args.clone().into_iter().zip(&fields) {
        if field.ty == ValType::FuncRef {
            again.global_plus(runtime.ref_sp, field.at as i32);
            again.push(ir::TableGet { table: runtime.refs });
        } else {
            again.get(base);
            again.load(runtime.frames, field.ty, field.at);
        }
        again.set(arg);
    }
    again.global_get(runtime.fuel);
    again.set(fuel);
    body.fuel_below(fuel, abi::SENTINEL_LIMIT);
    f.if_then(&mut body, again);

    body.get(fuel);
    body.global_set(runtime.fuel);
    f.args[..ty.params.len()].iter().for_each(|arg| body.get(*arg));
    body.push(ir::Call { func: import });

    let mut suspend = Code::default();
    suspend.get(fuel);
    suspend.global_set(runtime.fuel);
    suspend.global_get(runtime.sp);
    suspend.set(base);
    for (arg, field) in f.args.clone().into_iter().zip(&fields) {
        if field.ty == ValType::FuncRef {
            suspend.global_plus(runtime.ref_sp, field.at as i32);
            suspend.get(arg);
            suspend.push(ir::TableSet { table: runtime.refs });
        } else {
            suspend.get(base);
            suspend.get(arg);
            suspend.store(runtime.frames, field.ty, field.at);
        }
    }
    suspend.global_plus(runtime.ref_sp, references as i32);
    suspend.global_set(runtime.ref_sp);
    suspend.trailer(runtime, base, bytes, (identity.first_point, references), identity.slot);
    ty.results.iter().for_each(|ty| suspend.zero(*ty));
    suspend.i64(abi::UNWIND);
    suspend.push(ir::Return {});
    body.global_get(runtime.fuel);
    body.i64(abi::SENTINEL_LIMIT);
    body.binary(BinaryOp::I64LtS);
    f.if_then(&mut body, suspend);
    body.global_get(runtime.fuel);
    (f.finish(name, body), fields, bytes + abi::TRAILER_BYTES)
}

fn argument_fields(params: &[ValType]) -> (Vec<Field>, u32, u32) {
    let (mut bytes, mut references) = (0, 0);
    let mut fields = Vec::with_capacity(params.len());
    for (index, ty) in params.iter().enumerate() {
        let at = if *ty == ValType::FuncRef {
            references += 1;
            references - 1
        } else {
            bytes += ty.frame_bytes();
            bytes - ty.frame_bytes()
        };
        fields.push(Field { ty: *ty, at, place: Place::Local(index as u32) });
    }
    (fields, bytes.next_multiple_of(8), references)
}

/// Adds the wrapper through which the host calls an exported function: of the original type, the
/// fuel in the global. It is called from inside a host import, so the callee cannot pause: if it
/// does, its fuel including the engine's allowance is used up, and the wrapper traps.
pub(crate) fn export_wrapper(
    module: &mut Module,
    runtime: &Runtime,
    callee: FunctionId,
    ty: &FunctionType,
    name: &str,
) -> FunctionId {
    let plain = |types: &[ValType]| types.iter().copied().map(code::to_walrus).collect::<Vec<_>>();
    let mut f = Function::new(module, &plain(&ty.params), &plain(&ty.results));
    let fuel = f.local(WasmType::I64);
    let mut body = Code::default();
    f.args.iter().for_each(|arg| body.get(*arg));
    body.global_get(runtime.fuel);
    body.push(ir::Call { func: callee });
    body.set(fuel);
    body.fuel_below(fuel, abi::SENTINEL_LIMIT);
    let mut trap = Code::default();
    trap.unreachable();
    f.if_then(&mut body, trap);
    body.get(fuel);
    body.global_set(runtime.fuel);
    f.finish(name, body)
}

/// A resumable function as the driver needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resumable {
    /// The function.
    pub function: FunctionId,
    /// Its canonical type.
    pub ty: u32,
}

/// Adds the driver. `resumables` are in the order of their slots; `references` tells whether any
/// frame holds a reference.
pub(crate) fn add_driver(
    module: &mut Module,
    runtime: &Runtime,
    areas: Areas,
    resumables: &[Resumable],
    types: &[FunctionType],
    threaded: &[TypeId],
    references: bool,
) {
    let functions = function_table(module, resumables.iter().map(|r| r.function).collect());
    let state =
        module.globals.add_local(WasmType::I32, true, false, ConstExpr::Value(ir::Value::I32(0)));
    let mut resumers: Vec<Option<FunctionId>> = vec![None; types.len()];
    let mut by_slot = Vec::with_capacity(resumables.len());
    for resumable in resumables {
        let ty = resumable.ty as usize;
        let resumer = match resumers[ty] {
            Some(resumer) => resumer,
            None => {
                let resumer =
                    add_resumer(module, runtime, state, functions, &types[ty], threaded[ty]);
                resumers[ty] = Some(resumer);
                resumer
            }
        };
        by_slot.push(resumer);
    }
    let resumer_table = function_table(module, by_slot);
    let reserve = add_reserve(module, runtime, references);
    let reverse = add_reverse(module, runtime);
    let run = add_run(module, runtime, areas, state, resumer_table, (reserve, reverse));
    module.exports.add(abi::RUN, run);
}

/// A private table holding the given functions.
fn function_table(module: &mut Module, functions: Vec<FunctionId>) -> TableId {
    let size = functions.len() as u64;
    let table = module.tables.add_local(false, size, Some(size), RefType::FUNCREF);
    let offset = ConstExpr::Value(ir::Value::I32(0));
    let kind = ElementKind::Active { table, offset };
    let element = module.elements.add(kind, ElementItems::Functions(functions));
    module.tables.get_mut(table).elem_segments.insert(element);
    table
}

/// The exported table of address-taken functions.
pub(crate) fn add_function_table(module: &mut Module, functions: Vec<FunctionId>) {
    let table = function_table(module, functions);
    module.exports.add(abi::FUNCTIONS, table);
}

/// `(func (param $slot i32))`: calls a function of one type so that it rebuilds its frame, and
/// puts its results into the result area.
fn add_resumer(
    module: &mut Module,
    runtime: &Runtime,
    state: GlobalId,
    functions: TableId,
    ty: &FunctionType,
    threaded: TypeId,
) -> FunctionId {
    let mut f = Function::new(module, &[WasmType::I32], &[]);
    let fuel = f.local(WasmType::I64);
    let results: Vec<LocalId> = ty.results.iter().map(|ty| f.local(code::to_walrus(*ty))).collect();
    let mut body = Code::default();
    ty.params.iter().for_each(|ty| body.zero(*ty));
    body.i64(abi::REWIND);
    body.get(f.args[0]);
    body.push(ir::CallIndirect { ty: threaded, table: functions });
    body.set(fuel);
    results.iter().rev().for_each(|result| body.set(*result));
    body.fuel_below(fuel, abi::SENTINEL_LIMIT);
    let mut paused = Code::default();
    paused.i32(1);
    paused.global_set(state);
    paused.push(ir::Return {});
    f.if_then(&mut body, paused);
    body.get(fuel);
    body.global_set(runtime.fuel);
    for (at, (result, ty)) in results.iter().zip(&ty.results).enumerate() {
        if *ty == ValType::FuncRef {
            body.i32(at as i32);
            body.get(*result);
            body.push(ir::TableSet { table: runtime.refs });
        } else {
            body.i32(at as i32 * abi::RESULT_BYTES as i32);
            body.get(*result);
            body.store(runtime.frames, *ty, 0);
        }
    }
    f.finish("tasklet.resume", body)
}

/// Loads a word of the trailer of the frame that ends at `end`.
fn trailer_word(out: &mut Code, runtime: &Runtime, end: impl Fn(&mut Code), back: i32) {
    end(out);
    out.i32(back);
    out.binary(BinaryOp::I32Sub);
    out.load(runtime.frames, ValType::I32, 0);
}

/// `(func (result i32))`: see [`crate::abi`].
fn add_run(
    module: &mut Module,
    runtime: &Runtime,
    areas: Areas,
    state: GlobalId,
    resumers: TableId,
    (reserve, reverse): (FunctionId, FunctionId),
) -> FunctionId {
    let resumer_type = module.types.add(&[WasmType::I32], &[]);
    let mut f = Function::new(module, &[], &[WasmType::I32]);
    let (start, first, slot) =
        (f.local(WasmType::I32), f.local(WasmType::I32), f.local(WasmType::I32));
    let done = f.nested(Code::default());
    let next = f.nested(Code::default());
    let sp = |out: &mut Code| out.global_get(runtime.sp);

    let mut step = Code::default();
    step.global_get(runtime.sp);
    step.i32(areas.frames_base as i32);
    step.binary(BinaryOp::I32Eq);
    step.br_if(done);
    step.global_get(runtime.sp);
    trailer_word(&mut step, runtime, sp, 4);
    step.binary(BinaryOp::I32Sub);
    step.set(start);
    step.global_get(runtime.ref_sp);
    trailer_word(&mut step, runtime, sp, 12);
    step.binary(BinaryOp::I32Sub);
    step.set(first);
    trailer_word(&mut step, runtime, sp, 8);
    step.tee(slot);
    step.get(slot);
    step.push(ir::CallIndirect { ty: resumer_type, table: resumers });
    step.global_get(state);
    step.unary(UnaryOp::I32Eqz);
    step.br_if(next);
    step.i32(0);
    step.global_set(state);
    step.get(start);
    step.get(first);
    step.push(ir::Call { func: reverse });
    step.i32(abi::RUN_PAUSED);
    step.push(ir::Return {});

    *f.builder.instr_seq(next).instrs_mut() = step.0;
    let mut outer = Code::default();
    outer.push(ir::Loop { seq: next });
    *f.builder.instr_seq(done).instrs_mut() = outer.0;
    let mut body = Code::default();
    body.push(ir::Call { func: reserve });
    body.push(ir::Block { seq: done });
    body.i32(abi::RUN_FINISHED);
    f.finish("tasklet.run", body)
}

/// `(func)`: makes sure that a whole native stack can be spilled.
fn add_reserve(module: &mut Module, runtime: &Runtime, references: bool) -> FunctionId {
    let mut f = Function::new(module, &[], &[]);
    let needed = f.local(WasmType::I32);
    let mut body = Code::default();
    body.global_get(runtime.sp);
    body.i32(16);
    body.binary(BinaryOp::I32ShrU);
    body.i32(limits::FRAME_PAGES_RESERVE as i32 + 1);
    body.binary(BinaryOp::I32Add);
    grow_memory(&mut f, runtime, needed, &mut body);
    if references {
        body.global_get(runtime.ref_sp);
        body.i32(limits::REFS_RESERVE as i32);
        body.binary(BinaryOp::I32Add);
        grow_table(&mut f, runtime, needed, &mut body);
    }
    f.finish("tasklet.reserve", body)
}

/// Grows the frame memory to at least the number of pages on the stack.
fn grow_memory(f: &mut Function<'_>, runtime: &Runtime, needed: LocalId, out: &mut Code) {
    out.push(ir::MemorySize { memory: runtime.frames });
    out.binary(BinaryOp::I32Sub);
    out.tee(needed);
    out.i32(0);
    out.binary(BinaryOp::I32GtS);
    let mut grow = Code::default();
    grow.get(needed);
    grow.push(ir::MemoryGrow { memory: runtime.frames });
    trap_if_minus_one(f, &mut grow);
    f.if_then(out, grow);
}

/// Grows the shadow table to at least the number of elements on the stack, if the module has any
/// references to keep in it.
fn grow_table(f: &mut Function<'_>, runtime: &Runtime, needed: LocalId, out: &mut Code) {
    out.push(ir::TableSize { table: runtime.refs });
    out.binary(BinaryOp::I32Sub);
    out.tee(needed);
    out.i32(0);
    out.binary(BinaryOp::I32GtS);
    let mut grow = Code::default();
    grow.push(ir::RefNull { ty: RefType::FUNCREF });
    grow.get(needed);
    grow.push(ir::TableGrow { table: runtime.refs });
    trap_if_minus_one(f, &mut grow);
    f.if_then(out, grow);
}

fn trap_if_minus_one(f: &mut Function<'_>, out: &mut Code) {
    out.i32(-1);
    out.binary(BinaryOp::I32Eq);
    let mut trap = Code::default();
    trap.unreachable();
    f.if_then(out, trap);
}

/// `(func (param $start i32) (param $first i32))`: unwinding has written the frames from `$start`
/// innermost first; puts the outermost first, as the driver takes them from the end.
fn add_reverse(module: &mut Module, runtime: &Runtime) -> FunctionId {
    let mut f = Function::new(module, &[WasmType::I32, WasmType::I32], &[]);
    let (start, first) = (f.args[0], f.args[1]);
    let [bytes, count, from, from_ref, size, scratch] =
        std::array::from_fn(|_| f.local(WasmType::I32));
    let sp = |out: &mut Code| out.global_get(runtime.sp);
    let mut body = Code::default();
    let subtract = |out: &mut Code, global, local, to| {
        out.global_get(global);
        out.get(local);
        out.binary(BinaryOp::I32Sub);
        out.set(to);
    };
    subtract(&mut body, runtime.sp, start, bytes);
    subtract(&mut body, runtime.ref_sp, first, count);

    // A single frame, the usual case, is in order already.
    trailer_word(&mut body, runtime, sp, 4);
    body.get(bytes);
    body.binary(BinaryOp::I32Eq);
    let mut leave = Code::default();
    leave.push(ir::Return {});
    f.if_then(&mut body, leave);

    // A copy of all frames above the stack, from whose end they are taken one by one.
    add(&mut body, runtime.sp, bytes, from);
    body.get(from);
    body.i32(65_535);
    body.binary(BinaryOp::I32Add);
    body.i32(16);
    body.binary(BinaryOp::I32ShrU);
    grow_memory(&mut f, runtime, scratch, &mut body);
    body.global_get(runtime.sp);
    body.get(start);
    body.get(bytes);
    body.push(ir::MemoryCopy { src: runtime.frames, dst: runtime.frames });
    add(&mut body, runtime.ref_sp, count, from_ref);
    body.get(from_ref);
    grow_table(&mut f, runtime, scratch, &mut body);
    body.global_get(runtime.ref_sp);
    body.get(first);
    body.get(count);
    body.push(ir::TableCopy { src: runtime.refs, dst: runtime.refs });

    let again = f.nested(Code::default());
    let mut step = Code::default();
    trailer_word(&mut step, runtime, |out| out.get(from), 4);
    step.set(size);
    trailer_word(&mut step, runtime, |out| out.get(from), 12);
    step.set(count);
    take(
        &mut step,
        (start, from, size),
        ir::MemoryCopy { src: runtime.frames, dst: runtime.frames },
    );
    take(
        &mut step,
        (first, from_ref, count),
        ir::TableCopy { src: runtime.refs, dst: runtime.refs },
    );
    step.get(from);
    step.global_get(runtime.sp);
    step.binary(BinaryOp::I32Ne);
    step.br_if(again);
    *f.builder.instr_seq(again).instrs_mut() = step.0;
    body.push(ir::Loop { seq: again });
    f.finish("tasklet.reverse", body)
}

fn add(out: &mut Code, global: GlobalId, local: LocalId, to: LocalId) {
    out.global_get(global);
    out.get(local);
    out.binary(BinaryOp::I32Add);
    out.set(to);
}

/// `from -= length; copy length from `from` to `to`; to += length`.
fn take(
    out: &mut Code,
    (to, from, length): (LocalId, LocalId, LocalId),
    copy: impl Into<ir::Instr>,
) {
    out.get(from);
    out.get(length);
    out.binary(BinaryOp::I32Sub);
    out.set(from);
    out.get(to);
    out.get(from);
    out.get(length);
    out.push(copy);
    out.get(to);
    out.get(length);
    out.binary(BinaryOp::I32Add);
    out.set(to);
}

/// Adds the function that drops a segment by number, as restoring a snapshot needs it.
pub(crate) fn add_dropper(
    module: &mut Module,
    export: &str,
    drops: impl Iterator<Item = (usize, ir::Instr, GlobalId)>,
) {
    let mut f = Function::new(module, &[WasmType::I32], &[]);
    let mut body = Code::default();
    for (index, instr, recorded) in drops {
        body.get(f.args[0]);
        body.i32(index as i32);
        body.binary(BinaryOp::I32Eq);
        let mut drop = Code::default();
        super::function::record_drop(recorded, index, &mut drop);
        drop.push(instr);
        f.if_then(&mut body, drop);
    }
    let function = f.finish(export, body);
    module.exports.add(export, function);
}
