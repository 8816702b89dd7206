//! What the instrumenter adds to a module besides rewritten functions: state, wrappers, the driver.

mod driver;

use wasm_encoder::{ExportKind, Instruction};

use super::code::{Body, Code, Local, Runtime, Types, pair};
use super::function::{Identity, record_drop};
use crate::abi::{self, limits};
use crate::facts::ModuleFacts;
use crate::metadata::{Field, Place, ValType};
use crate::types::{EXNREF, FUNCREF, Signature, WasmType, kind};

pub(crate) use driver::{Resumable, add_driver};

/// What is added, by index space: each begins behind the original's.
#[derive(Debug)]
pub(crate) struct Additions {
    /// Types.
    pub types: Types,
    /// Functions.
    pub functions: Vec<AddedFunction>,
    /// Tables.
    pub tables: Vec<AddedTable>,
    /// Globals: type, and the value that they begin with.
    pub globals: Vec<(WasmType, i64)>,
    /// Exports.
    pub exports: Vec<(String, ExportKind, u32)>,
    /// Types of the imported functions and of the tags, which have no fuel.
    pub import_types: Vec<u32>,
    pub tag_types: Vec<u32>,
    first: First,
}

/// The size of the original's index spaces.
#[derive(Debug, Clone, Copy)]
struct First {
    function: u32,
    table: u32,
    global: u32,
}

/// A function that is added.
#[derive(Debug)]
pub(crate) struct AddedFunction {
    /// For people.
    pub name: String,
    /// Type index.
    pub ty: u32,
    /// Locals and code.
    pub body: Body,
}

/// A table that is added.
#[derive(Debug)]
pub(crate) struct AddedTable {
    /// What it holds.
    pub element: WasmType,
    /// Initial size.
    pub elements: u32,
    /// Maximum.
    pub elements_max: u64,
    /// The functions it begins with.
    pub functions: Vec<u32>,
}

impl Additions {
    /// Nothing yet.
    pub fn new(facts: &ModuleFacts) -> Additions {
        let mut types = Types::new(facts.types.len());
        let imported = 0..facts.imported_functions;
        let import_types = imported.map(|f| types.plain(facts.signature_of(f))).collect();
        let tags = 0..facts.tags.len() as u32;
        let tag_types = tags.map(|tag| types.plain(facts.tag_type(tag))).collect();
        Additions {
            types,
            import_types,
            tag_types,
            functions: Vec::new(),
            tables: Vec::new(),
            globals: Vec::new(),
            exports: Vec::new(),
            first: First {
                function: facts.function_types.len() as u32,
                table: facts.tables.len() as u32,
                global: facts.globals.len() as u32,
            },
        }
    }

    fn global(&mut self, ty: WasmType, value: i64) -> u32 {
        self.globals.push((ty, value));
        self.first.global + self.globals.len() as u32 - 1
    }

    fn exported_global(&mut self, name: &str, ty: WasmType, value: i64) -> u32 {
        let index = self.global(ty, value);
        self.exports.push((name.to_owned(), ExportKind::Global, index));
        index
    }

    fn function(&mut self, name: String, ty: u32, code: Code) -> u32 {
        self.functions.push(AddedFunction { name, ty, body: code.finish() });
        self.first.function + self.functions.len() as u32 - 1
    }

    /// Bytes of the function added last.
    pub fn last_bytes(&self) -> usize {
        self.functions.last().map_or(0, |function| function.body.bytes.len())
    }

    fn table(&mut self, table: AddedTable) -> u32 {
        self.tables.push(table);
        self.first.table + self.tables.len() as u32 - 1
    }

    /// A private table holding the given functions.
    fn function_table(&mut self, functions: Vec<u32>) -> u32 {
        let elements = functions.len() as u32;
        let elements_max = u64::from(elements);
        self.table(AddedTable { element: FUNCREF, elements, elements_max, functions })
    }

    /// The exported table of address-taken functions.
    pub fn add_function_table(&mut self, functions: Vec<u32>) {
        let table = self.function_table(functions);
        self.exports.push((abi::FUNCTIONS.to_owned(), ExportKind::Table, table));
    }
}

/// Sizes of the areas in front of the frames.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Areas {
    /// Bytes of the result area.
    pub frames_base: u32,
    /// References among the results.
    pub refs_base: u32,
}

/// Room for the results of any of the function types.
pub(crate) fn areas(types: &[Signature]) -> Areas {
    let most = types.iter().map(|ty| ty.results.len()).max().unwrap_or(0) as u32;
    let references = types.iter().any(|ty| ty.results.iter().any(|ty| kind(*ty).is_reference()));
    Areas {
        frames_base: most.max(1) * abi::RESULT_BYTES,
        refs_base: if references { most } else { 0 },
    }
}

/// Kinds of references that can be in frames or results.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Kinds {
    pub functions: bool,
    pub externs: bool,
    pub exceptions: bool,
}

impl Kinds {
    /// Counts the type in.
    pub fn see(&mut self, ty: WasmType) {
        match kind(ty) {
            ValType::FuncRef => self.functions = true,
            ValType::ExternRef => self.externs = true,
            ValType::ExnRef => self.exceptions = true,
            _ => {}
        }
    }
}

/// Adds the globals, the frame memory and the shadow tables, and exports them.
pub(crate) fn add_state(
    add: &mut Additions,
    facts: &ModuleFacts,
    areas: Areas,
    kinds: Kinds,
) -> Runtime {
    let fuel = add.exported_global(abi::FUEL, WasmType::I64, 0);
    let debt = add.exported_global(abi::DEBT, WasmType::I64, 0);
    let sp = add.exported_global(abi::SP, WasmType::I32, i64::from(areas.frames_base));
    let ref_sp = add.exported_global(abi::REF_SP, WasmType::I32, i64::from(areas.refs_base));
    let point = add.global(WasmType::I32, 0);
    let frames = facts.memories.len() as u32;
    add.exports.push((abi::FRAMES.to_owned(), ExportKind::Memory, frames));
    let mut shadow = |needed: bool, name: &str, element: WasmType| {
        needed.then(|| {
            let elements = areas.refs_base;
            let functions = Vec::new();
            let elements_max = limits::REFS_MAX;
            let table = add.table(AddedTable { element, elements, elements_max, functions });
            add.exports.push((name.to_owned(), ExportKind::Table, table));
            table
        })
    };
    let refs = shadow(kinds.functions, abi::REFS, FUNCREF);
    let externref = WasmType::Ref(wasm_encoder::RefType::EXTERNREF);
    let refs_extern = shadow(kinds.externs, abi::REFS_EXTERN, externref);
    let refs_exn = shadow(kinds.exceptions, abi::REFS_EXN, EXNREF);
    let exception = facts.catches.then(|| add.global(EXNREF, 0));
    Runtime { fuel, debt, sp, ref_sp, point, frames, refs, refs_extern, refs_exn, exception }
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
///
/// Returns the fields of the frame and its size.
pub(crate) fn import_wrapper(
    add: &mut Additions,
    runtime: &Runtime,
    facts: &ModuleFacts,
    import: u32,
    identity: Identity,
) -> (Vec<Field>, u32) {
    let signature = facts.signature_of(import);
    let (fields, bytes, references) = argument_fields(&signature.params);
    let mut out = Code::new(signature.params.len() + 1);
    let fuel = Local(signature.params.len() as u32);
    let (what, size) = (out.local(WasmType::I64), out.local(WasmType::I32));

    out.fuel_below(fuel, abi::SENTINEL_LIMIT);
    out.if_();
    for ((arg, field), ty) in (0..).map(Local).zip(&fields).zip(&signature.params) {
        if field.ty.is_reference() {
            out.global_plus(runtime.ref_sp, field.at as i32);
            out.reference(runtime, *ty);
        } else {
            out.global_get(runtime.sp);
            out.load(runtime.frames, field.ty, field.at);
        }
        out.set(arg);
    }
    out.global_get(runtime.fuel);
    out.set(fuel);
    out.end();

    out.get(fuel);
    out.global_set(runtime.fuel);
    (0..fuel.0).for_each(|arg| out.get(Local(arg)));
    out.push(&Instruction::Call(import));

    out.global_get(runtime.fuel);
    out.i64(abi::SENTINEL_LIMIT);
    out.push(&Instruction::I64LtS);
    out.if_();
    out.get(fuel);
    out.global_set(runtime.fuel);
    for (arg, field) in (0..).map(Local).zip(&fields) {
        if field.ty.is_reference() {
            out.global_plus(runtime.ref_sp, field.at as i32);
            out.get(arg);
            out.push(&Instruction::TableSet(runtime.table(field.ty)));
        } else {
            out.global_get(runtime.sp);
            out.get(arg);
            out.store(runtime.frames, field.ty, field.at);
        }
    }
    out.global_plus(runtime.ref_sp, references as i32);
    out.global_set(runtime.ref_sp);
    out.i64(pair(identity.first_point, references));
    out.set(what);
    out.i32(bytes as i32);
    out.set(size);
    out.trailer(runtime, what, size, identity.slot.unwrap_or(0));
    signature.results.iter().for_each(|ty| out.zero(*ty));
    out.i64(abi::UNWIND);
    out.return_();
    out.end();
    out.global_get(runtime.fuel);

    let name = format!("tasklet.import.{}", facts.imports[import as usize].1);
    add.function(name, facts.function_types[import as usize], out);
    (fields, bytes + abi::TRAILER_BYTES)
}

fn argument_fields(params: &[WasmType]) -> (Vec<Field>, u32, u32) {
    let (mut bytes, mut references) = (0, 0);
    let mut fields = Vec::with_capacity(params.len());
    for (index, ty) in (0..).zip(params) {
        let ty = kind(*ty);
        let at = if ty.is_reference() {
            references += 1;
            references - 1
        } else {
            bytes += ty.frame_bytes();
            bytes - ty.frame_bytes()
        };
        fields.push(Field { ty, at, place: Place::Local(index) });
    }
    (fields, bytes.next_multiple_of(8), references)
}

/// Adds the wrapper through which the host calls an exported function: of the original type, the
/// fuel in the global. It is called from inside a host import, so the callee cannot pause: if it
/// does, its fuel including the engine's allowance is used up, and the wrapper traps.
pub(crate) fn export_wrapper(
    add: &mut Additions,
    runtime: &Runtime,
    signature: &Signature,
    callee: u32,
    name: &str,
) -> u32 {
    let mut out = Code::new(signature.params.len());
    let fuel = out.local(WasmType::I64);
    (0..signature.params.len() as u32).for_each(|arg| out.get(Local(arg)));
    out.global_get(runtime.fuel);
    out.push(&Instruction::Call(callee));
    out.set(fuel);
    out.fuel_below(fuel, abi::SENTINEL_LIMIT);
    out.if_();
    out.unreachable();
    out.end();
    out.get(fuel);
    out.global_set(runtime.fuel);
    let ty = add.types.plain(signature);
    add.function(format!("tasklet.export.{name}"), ty, out)
}

/// Adds the globals that record dropped segments, one for 64 of them. Returns the first.
pub(crate) fn add_drop_records(add: &mut Additions, segments: usize, prefix: &str) -> u32 {
    let words = segments.div_ceil(64);
    let first = add.first.global + add.globals.len() as u32;
    for word in 0..words {
        add.exported_global(&format!("{prefix}{word}"), WasmType::I64, 0);
    }
    first
}

/// Adds the function that drops a segment by number, as restoring a snapshot needs it, if there is
/// any to drop.
pub(crate) fn add_dropper(
    add: &mut Additions,
    export: &str,
    passive: &[bool],
    first: u32,
    drop: fn(u32) -> Instruction<'static>,
) {
    if !passive.contains(&true) {
        return;
    }
    let mut out = Code::new(1);
    for (index, _) in (0..).zip(passive).filter(|(_, passive)| **passive) {
        out.get(Local(0));
        out.i32(index as i32);
        out.push(&Instruction::I32Eq);
        out.if_();
        record_drop(first, index, &mut out);
        out.push(&drop(index));
        out.end();
    }
    let ty = add.types.plain(&Signature { params: vec![WasmType::I32], results: Vec::new() });
    let function = add.function(export.to_owned(), ty, out);
    add.exports.push((export.to_owned(), ExportKind::Func, function));
}
