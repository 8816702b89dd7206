//! What the validator knows of a module and walrus forgets: operand types, local indices and
//! offsets, keyed by byte offset in the original module.
//!
//! This is also where a module is judged: invalid bytes, components, unsupported features and
//! exceeded limits all end here, before anything is rewritten.

use std::collections::HashMap;

use wasmparser::{
    CompositeInnerType, ExternalKind, FuncValidator, FunctionBody, Operator, Parser, Payload,
    ValidPayload, Validator, ValidatorResources, WasmModuleResources,
};

use crate::abi::{self, limits};
use crate::error::{Error, ErrorKind, Place};
use crate::features;
use crate::metadata::{FunctionType, ValType};

/// Facts about a whole module.
#[derive(Debug, Default)]
pub(crate) struct ModuleFacts {
    /// Function types by type index.
    pub types: Vec<FunctionType>,
    /// For every type index the smallest one of an equal type: types are equal by structure.
    pub canonical: Vec<u32>,
    /// Canonical type index of every function, imports first.
    pub function_types: Vec<u32>,
    /// Number of imported functions.
    pub imported_functions: u32,
    /// Names from the name section.
    pub names: Vec<Option<String>>,
    /// The defined functions, in order.
    pub bodies: Vec<FunctionFacts>,
    /// Functions that a `ref.func` names, repeats included.
    pub references: Vec<u32>,
    /// Number of memories.
    pub memories: u32,
}

impl ModuleFacts {
    /// Says in which function an error is.
    pub fn locate(&self, error: Error, function: u32) -> Error {
        let offset = error.place().and_then(|place| place.offset);
        let name = self.names.get(function as usize).cloned().flatten();
        error.at(Place { function: Some(function), name, offset })
    }
}

/// Facts about one function body.
#[derive(Debug, Default)]
pub(crate) struct FunctionFacts {
    /// Types of all locals, parameters first.
    pub locals: Vec<ValType>,
    /// Offset of the first instruction.
    pub code_offset: u32,
    /// The reachable instructions in order.
    pub operators: Vec<OperatorFacts>,
    /// Types pushed by the instructions; `OperatorFacts::pushes` indexes it.
    pub pushed: Vec<ValType>,
    /// Functions that a `ref.func` names.
    pub references: Vec<u32>,
}

/// Facts about one instruction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OperatorFacts {
    /// Byte offset in the module.
    pub offset: u32,
    /// The local index or type index it names; 0 where it names none.
    pub index: u32,
    /// Number of operands it pops.
    pub pops: u16,
    /// Number of results it pushes.
    pub pushes: u16,
    /// First of the pushed types.
    pub pushed_at: u32,
    /// Static price in steps.
    pub cost: u8,
}

/// Validates a module and gathers its facts.
pub(crate) fn gather(wasm: &[u8]) -> Result<ModuleFacts, Error> {
    if wasm.len() > limits::MODULE_BYTES_MAX {
        return Err(Error::new(ErrorKind::Limit, "the module is larger than 1 GiB"));
    }
    if Parser::is_component(wasm) {
        return Err(Error::new(
            ErrorKind::Component,
            "only core modules can run; extract one with `wasm-tools component unbundle`, or \
             compile the program for wasm32-wasip1",
        ));
    }
    let mut facts = ModuleFacts::default();
    let mut validator = Validator::new_with_features(features::recognised());
    let mut allocations = wasmparser::FuncValidatorAllocations::default();
    let mut bodies: Vec<Result<FunctionFacts, Error>> = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(invalid)?;
        let valid = validator.payload(&payload).map_err(invalid)?;
        if let ValidPayload::Func(to_validate, body) = valid {
            let mut func = to_validate.into_validator(allocations);
            let body = gather_body(&mut func, &body, &facts.canonical);
            bodies.push(body.map_err(|e| in_function(wasm, e, func.index()))?);
            allocations = func.into_allocations();
            continue;
        }
        gather_section(&mut facts, payload)?;
    }
    // A feature is only refused once the whole module is known to be valid: an invalid module is
    // invalid first.
    for (index, body) in (facts.imported_functions..).zip(bodies) {
        let body = body.map_err(|e| facts.locate(e, index))?;
        facts.references.extend_from_slice(&body.references);
        facts.bodies.push(body);
    }
    Ok(facts)
}

fn invalid(error: wasmparser::BinaryReaderError) -> Error {
    Error::new(ErrorKind::Invalid, error.message())
        .at(Place { offset: Some(error.offset() as u64), ..Place::default() })
}

/// Says in which function of an invalid module an error is. The names come behind the code, so
/// they have not been read yet.
fn in_function(wasm: &[u8], error: Error, function: u32) -> Error {
    let mut names =
        ModuleFacts { function_types: vec![0; function as usize + 1], ..Default::default() };
    for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
        if let Payload::CustomSection(section) = payload
            && let wasmparser::KnownCustom::Name(reader) = section.as_known()
        {
            gather_names(&mut names, reader);
        }
    }
    names.locate(error, function)
}

fn at(error: Error, offset: usize) -> Error {
    error.at(Place { offset: Some(offset as u64), ..Place::default() })
}

fn gather_section(facts: &mut ModuleFacts, payload: Payload<'_>) -> Result<(), Error> {
    match payload {
        Payload::TypeSection(section) => {
            let mut known = HashMap::new();
            for group in section {
                let group = group.map_err(invalid)?;
                features::check_group(&group)?;
                for (offset, ty) in group.into_types_and_offsets() {
                    let ty = function_type(&ty).map_err(|e| at(e, offset))?;
                    let next = facts.types.len() as u32;
                    facts.canonical.push(*known.entry(ty.clone()).or_insert(next));
                    facts.types.push(ty);
                }
            }
        }
        Payload::ImportSection(section) => {
            for item in section.into_imports_with_offsets() {
                let (offset, import) = item.map_err(invalid)?;
                features::check_import(&import.ty).map_err(|e| at(e, offset))?;
                if let wasmparser::TypeRef::Func(ty) = import.ty {
                    facts.function_types.push(facts.canonical[ty as usize]);
                    facts.imported_functions += 1;
                }
            }
        }
        Payload::FunctionSection(section) => {
            for ty in section {
                let ty = ty.map_err(invalid)?;
                facts.function_types.push(facts.canonical[ty as usize]);
            }
        }
        Payload::TableSection(section) => {
            for item in section.into_iter_with_offsets() {
                let (offset, table) = item.map_err(invalid)?;
                features::check_table(&table.ty).map_err(|e| at(e, offset))?;
            }
        }
        Payload::MemorySection(section) => gather_memories(facts, section)?,
        Payload::GlobalSection(section) => {
            for item in section.into_iter_with_offsets() {
                let (offset, global) = item.map_err(invalid)?;
                features::value_type(global.ty.content_type).map_err(|e| at(e, offset))?;
            }
        }
        Payload::TagSection(section) => {
            let e = features::refuse("exception handling", "compile the program without it");
            return Err(at(e, section.range().start));
        }
        Payload::ExportSection(section) => check_exports(section)?,
        Payload::ElementSection(section) => {
            for item in section.into_iter_with_offsets() {
                let (offset, element) = item.map_err(invalid)?;
                if let wasmparser::ElementItems::Expressions(ty, _) = element.items {
                    features::value_type(wasmparser::ValType::Ref(ty))
                        .map_err(|e| at(e, offset))?;
                }
            }
        }
        Payload::CustomSection(section) => {
            if let wasmparser::KnownCustom::Name(names) = section.as_known() {
                gather_names(facts, names);
            }
        }
        _ => {}
    }
    Ok(())
}

fn gather_memories(
    facts: &mut ModuleFacts,
    section: wasmparser::MemorySectionReader<'_>,
) -> Result<(), Error> {
    for item in section.into_iter_with_offsets() {
        let (offset, memory) = item.map_err(invalid)?;
        features::check_memory(&memory).map_err(|e| at(e, offset))?;
        facts.memories += 1;
        if facts.memories > 1 {
            let e = features::refuse("multiple memories", "compile the program with one memory");
            return Err(at(e, offset));
        }
    }
    Ok(())
}

fn check_exports(section: wasmparser::ExportSectionReader<'_>) -> Result<(), Error> {
    for item in section.into_iter_with_offsets() {
        let (offset, export) = item.map_err(invalid)?;
        if export.name.starts_with(abi::PREFIX) {
            let message = format!(
                "the module exports `{}`, and names that start with `{}` are the instrumenter's \
                 own; give it the original module, or rename the export",
                export.name,
                abi::PREFIX
            );
            return Err(at(Error::new(ErrorKind::Reserved, message), offset));
        }
        if export.kind == ExternalKind::Tag {
            let e = features::refuse("exception handling", "compile the program without it");
            return Err(at(e, offset));
        }
    }
    Ok(())
}

fn function_type(ty: &wasmparser::SubType) -> Result<FunctionType, Error> {
    features::check_type(ty)?;
    let CompositeInnerType::Func(func) = &ty.composite_type.inner else {
        return Err(features::refuse("garbage-collected types", "compile without them"));
    };
    let values = |types: &[wasmparser::ValType]| {
        if types.len() > limits::SIGNATURE_VALUES_MAX {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("a function type has more than {} values", limits::SIGNATURE_VALUES_MAX),
            ));
        }
        types.iter().map(|ty| features::value_type(*ty)).collect()
    };
    Ok(FunctionType { params: values(func.params())?, results: values(func.results())? })
}

fn gather_names(facts: &mut ModuleFacts, names: wasmparser::NameSectionReader<'_>) {
    // A damaged name section is no error: names are for people.
    for subsection in names.into_iter().map_while(Result::ok) {
        if let wasmparser::Name::Function(map) = subsection {
            facts.names.resize(facts.function_types.len(), None);
            for naming in map.into_iter().map_while(Result::ok) {
                if let Some(name) = facts.names.get_mut(naming.index as usize) {
                    *name = Some(naming.name.to_owned());
                }
            }
        }
    }
}

/// The outer error is an invalid body, the inner one a refusal.
fn gather_body(
    func: &mut FuncValidator<ValidatorResources>,
    body: &FunctionBody<'_>,
    canonical: &[u32],
) -> Result<Result<FunctionFacts, Error>, Error> {
    let mut facts = FunctionFacts::default();
    let mut refusal = None;
    let mut reader = body.get_binary_reader();
    func.read_locals(&mut reader).map_err(invalid)?;
    reader.set_features(*func.features());
    for index in 0..func.len_locals() {
        let ty = func.get_local_type(index).map(features::value_type);
        match ty {
            Some(Ok(ty)) => facts.locals.push(ty),
            Some(Err(e)) => refusal = refusal.or(Some(at(e, body.range().start))),
            None => {}
        }
    }
    facts.code_offset = reader.original_position() as u32;
    let mut operators = wasmparser::OperatorsReader::new(reader);
    while !operators.eof() {
        let (op, offset) = operators.read_with_offset().map_err(invalid)?;
        let reachable = func.get_control_frame(0).is_some_and(|frame| !frame.unreachable);
        let arity = if reachable { op.operator_arity(&*func) } else { None };
        let index = index(func, &op, canonical);
        func.op(offset, &op).map_err(invalid)?;
        if refusal.is_some() {
            continue;
        }
        let checked = features::check_operator(&op).and_then(|()| match arity {
            Some(arity) => gather_operator(&mut facts, func, &op, offset, arity, index),
            None => Ok(()),
        });
        refusal = checked.err().map(|e| at(e, offset));
    }
    operators.finish().map_err(invalid)?;
    Ok(match refusal {
        Some(e) => Err(e),
        None => Ok(facts),
    })
}

/// The local an instruction names, or the canonical type of a call.
fn index(func: &FuncValidator<ValidatorResources>, op: &Operator<'_>, canonical: &[u32]) -> u32 {
    let ty = match op {
        Operator::LocalGet { local_index }
        | Operator::LocalSet { local_index }
        | Operator::LocalTee { local_index } => return *local_index,
        Operator::Call { function_index } => {
            func.resources().type_index_of_function(*function_index)
        }
        Operator::CallIndirect { type_index, .. } => Some(*type_index),
        _ => None,
    };
    ty.and_then(|ty| canonical.get(ty as usize)).copied().unwrap_or(0)
}

fn gather_operator(
    facts: &mut FunctionFacts,
    func: &FuncValidator<ValidatorResources>,
    op: &Operator<'_>,
    offset: usize,
    (pops, pushes): (u32, u32),
    index: u32,
) -> Result<(), Error> {
    let pushed_at = facts.pushed.len() as u32;
    if let Operator::RefFunc { function_index } = op {
        facts.references.push(*function_index);
    }
    // Control instructions leave what they push to the graph builder.
    let control = matches!(
        op,
        Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::End
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::Return
            | Operator::Unreachable
    );
    let pushes = if control { 0 } else { pushes };
    for depth in (0..pushes as usize).rev() {
        if let Some(Some(ty)) = func.get_operand_type(depth) {
            facts.pushed.push(features::operand_type(ty)?);
        }
    }
    facts.operators.push(OperatorFacts {
        offset: offset as u32,
        index,
        pops: pops as u16,
        pushes: pushes as u16,
        pushed_at,
        cost: cost(op),
    });
    Ok(())
}

/// The price of an instruction in steps: wasmtime 48's default operator costs.
/// Bulk operations cost one step more for every byte or element; see the rewriting.
fn cost(op: &Operator<'_>) -> u8 {
    match op {
        Operator::Nop
        | Operator::Drop
        | Operator::Block { .. }
        | Operator::Loop { .. }
        | Operator::Unreachable
        | Operator::Return
        | Operator::Else
        | Operator::End => 0,
        _ => 1,
    }
}
