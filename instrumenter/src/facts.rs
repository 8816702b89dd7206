//! What there is to know of a module before its code is looked at: types, index spaces, names.
//!
//! This is also where a module is judged: invalid bytes, components, unsupported features and
//! exceeded limits all end here or, for function bodies, in [`crate::graph::build`].

use wasm_encoder::ExportKind;
use wasmparser::{
    ExternalKind, FuncToValidate, FunctionBody, Parser, Payload, TypeRef, ValidPayload, Validator,
    ValidatorResources,
};

use crate::abi::{self, limits};
use crate::error::{Error, ErrorKind, Place};
use crate::features;
use crate::types::{self, Signature, TypeIndices, WasmType};

/// Facts about a module, in the original's index spaces.
#[derive(Debug, Default)]
pub(crate) struct ModuleFacts {
    /// Function types by type index.
    pub types: Vec<Signature>,
    /// For every type index the smallest one of an equal type.
    pub canonical: Vec<u32>,
    /// The types by identity.
    pub indices: TypeIndices,
    /// Canonical type index of every function, imports first.
    pub function_types: Vec<u32>,
    /// The imports of functions, by module and name.
    pub imports: Vec<Import>,
    /// Number of imported functions.
    pub imported_functions: u32,
    /// Names from the name section.
    pub names: Vec<Option<String>>,
    /// Memories.
    pub memories: Vec<Memory>,
    /// Tables.
    pub tables: Vec<Table>,
    /// Globals.
    pub globals: Vec<Global>,
    /// Type index of every tag, and where it is imported from.
    pub tags: Vec<(u32, Option<Import>)>,
    /// Whether a signature, a table or a global has a typed reference.
    pub typed: bool,
    /// Exports: name, kind and index.
    pub exports: Vec<(String, ExportKind, u32)>,
    /// The start function.
    pub start: Option<u32>,
    /// Functions that a constant expression or an element segment names, repeats included.
    pub references: Vec<u32>,
    /// For every element segment whether it is passive.
    pub elements: Vec<bool>,
    /// For every data segment whether it is passive.
    pub data: Vec<bool>,
    /// Whether any function catches exceptions.
    pub catches: bool,
}

/// Module and name of an import.
pub(crate) type Import = (String, String);

/// A memory.
#[derive(Debug)]
pub(crate) struct Memory {
    pub pages: u64,
    pub pages_max: Option<u64>,
    pub memory64: bool,
    pub import: Option<Import>,
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    pub element: WasmType,
    pub elements: u64,
    pub elements_max: Option<u64>,
    pub table64: bool,
    pub import: Option<Import>,
}

/// A global.
#[derive(Debug)]
pub(crate) struct Global {
    pub ty: WasmType,
    pub mutable: bool,
    pub import: Option<Import>,
}

/// A function body to be validated.
pub(crate) type ToValidate<'a> = (FuncToValidate<ValidatorResources>, FunctionBody<'a>);

impl ModuleFacts {
    /// Says in which function an error is.
    pub fn locate(&self, error: Error, function: u32) -> Error {
        let offset = error.place().and_then(|place| place.offset);
        let name = self.names.get(function as usize).cloned().flatten();
        error.at(Place { function: Some(function), name, offset })
    }

    /// The type of a function.
    pub fn signature_of(&self, function: u32) -> &Signature {
        &self.types[self.function_types[function as usize] as usize]
    }

    fn has_typed_references(&self) -> bool {
        let signatures = self.types.iter().flat_map(|ty| ty.params.iter().chain(&ty.results));
        let tables = self.tables.iter().map(|table| &table.element);
        let globals = self.globals.iter().map(|global| &global.ty);
        signatures.chain(tables).chain(globals).any(|ty| types::is_typed(*ty))
    }

    /// The type of a tag.
    pub fn tag_type(&self, tag: u32) -> &Signature {
        &self.types[self.tags[tag as usize].0 as usize]
    }
}

/// What is wrong with the bytes.
pub(crate) fn invalid(error: wasmparser::BinaryReaderError) -> Error {
    Error::new(ErrorKind::Invalid, error.message())
        .at(Place { offset: Some(error.offset() as u64), ..Place::default() })
}

fn at(error: Error, offset: usize) -> Error {
    error.at(Place { offset: Some(offset as u64), ..Place::default() })
}

/// Validates all of a module but its function bodies, and gathers its facts.
///
/// As the refusal of a feature only counts once the whole module is known to be valid, it comes
/// beside the facts that were gathered before it.
pub(crate) fn gather(
    wasm: &[u8],
) -> Result<(ModuleFacts, Vec<ToValidate<'_>>, Option<Error>), Error> {
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
    let mut bodies = Vec::new();
    let mut refusal = None;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(invalid)?;
        match validator.payload(&payload).map_err(invalid)? {
            ValidPayload::Func(to_validate, body) => bodies.push((to_validate, body)),
            _ if refusal.is_none() => {
                refusal = gather_section(&mut facts, &validator, payload).err();
            }
            _ => {}
        }
    }
    facts.typed = facts.has_typed_references();
    Ok((facts, bodies, refusal))
}

fn gather_section(
    facts: &mut ModuleFacts,
    validator: &Validator,
    payload: Payload<'_>,
) -> Result<(), Error> {
    match payload {
        Payload::TypeSection(section) => gather_types(facts, validator, section)?,
        Payload::ImportSection(section) => {
            for item in section.into_imports_with_offsets() {
                let (offset, import) = item.map_err(invalid)?;
                gather_import(facts, import).map_err(|e| at(e, offset))?;
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
                add_table(facts, &table.ty, None).map_err(|e| at(e, offset))?;
                if let wasmparser::TableInit::Expr(expr) = table.init {
                    gather_constant(facts, &expr)?;
                }
            }
        }
        Payload::MemorySection(section) => {
            for item in section.into_iter_with_offsets() {
                let (offset, memory) = item.map_err(invalid)?;
                add_memory(facts, &memory, None).map_err(|e| at(e, offset))?;
            }
        }
        Payload::TagSection(section) => {
            for item in section.into_iter_with_offsets() {
                let (_, tag) = item.map_err(invalid)?;
                facts.tags.push((tag.func_type_idx, None));
            }
        }
        Payload::GlobalSection(section) => {
            for item in section.into_iter_with_offsets() {
                let (offset, global) = item.map_err(invalid)?;
                add_global(facts, global.ty, None).map_err(|e| at(e, offset))?;
                gather_constant(facts, &global.init_expr)?;
            }
        }
        Payload::ExportSection(section) => gather_exports(facts, section)?,
        Payload::StartSection { func, .. } => facts.start = Some(func),
        Payload::ElementSection(section) => gather_elements(facts, section)?,
        Payload::DataSection(section) => {
            for item in section {
                let data = item.map_err(invalid)?;
                facts.data.push(matches!(data.kind, wasmparser::DataKind::Passive));
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

fn gather_types(
    facts: &mut ModuleFacts,
    validator: &Validator,
    section: wasmparser::TypeSectionReader<'_>,
) -> Result<(), Error> {
    // All types first: they may refer to later ones of their group.
    let known = validator.types(0).ok_or_else(|| internal("types outside of a module"))?;
    let mut found = Vec::new();
    for group in section {
        for (offset, ty) in group.map_err(invalid)?.into_types_and_offsets() {
            let index = found.len() as u32;
            let id = known.core_type_at_in_module(index);
            facts.canonical.push(facts.indices.canonical(index, id));
            found.push((offset, ty));
        }
    }
    for (offset, ty) in found {
        let func = features::check_type(&ty).map_err(|e| at(e, offset))?;
        let values = |types: &[wasmparser::ValType]| {
            if types.len() > limits::SIGNATURE_VALUES_MAX {
                return Err(Error::new(
                    ErrorKind::Limit,
                    format!(
                        "a function type has more than {} values",
                        limits::SIGNATURE_VALUES_MAX
                    ),
                ));
            }
            types.iter().map(|ty| value_type(facts, *ty)).collect()
        };
        let params = values(func.params()).map_err(|e| at(e, offset))?;
        let results = values(func.results()).map_err(|e| at(e, offset))?;
        facts.types.push(Signature { params, results });
    }
    Ok(())
}

fn internal(message: &str) -> Error {
    Error::new(ErrorKind::Internal, message)
}

fn value_type(facts: &ModuleFacts, ty: wasmparser::ValType) -> Result<WasmType, Error> {
    features::check_value_type(ty)?;
    facts.indices.value(ty).ok_or_else(|| internal("a type that the module does not have"))
}

fn gather_import(facts: &mut ModuleFacts, import: wasmparser::Import<'_>) -> Result<(), Error> {
    let from = (import.module.to_owned(), import.name.to_owned());
    match import.ty {
        TypeRef::Func(ty) => {
            facts.function_types.push(facts.canonical[ty as usize]);
            facts.imports.push(from);
            facts.imported_functions += 1;
        }
        TypeRef::Table(ty) => add_table(facts, &ty, Some(from))?,
        TypeRef::Memory(ty) => add_memory(facts, &ty, Some(from))?,
        TypeRef::Global(ty) => add_global(facts, ty, Some(from))?,
        TypeRef::Tag(ty) => facts.tags.push((ty.func_type_idx, Some(from))),
        TypeRef::FuncExact(_) => {
            return Err(features::refuse("exact function types", "import the plain type"));
        }
    }
    Ok(())
}

fn add_memory(
    facts: &mut ModuleFacts,
    ty: &wasmparser::MemoryType,
    import: Option<Import>,
) -> Result<(), Error> {
    features::check_memory(ty)?;
    facts.memories.push(Memory {
        pages: ty.initial,
        pages_max: ty.maximum,
        memory64: ty.memory64,
        import,
    });
    Ok(())
}

fn add_table(
    facts: &mut ModuleFacts,
    ty: &wasmparser::TableType,
    import: Option<Import>,
) -> Result<(), Error> {
    features::check_table(ty)?;
    if import.is_some() && !ty.element_type.is_nullable() {
        let way_out = "a tasklet owns its tables, and one without null has no first value";
        return Err(features::refuse("imported tables of non-null references", way_out));
    }
    let element = value_type(facts, wasmparser::ValType::Ref(ty.element_type))?;
    facts.tables.push(Table {
        element,
        elements: ty.initial,
        elements_max: ty.maximum,
        table64: ty.table64,
        import,
    });
    Ok(())
}

fn add_global(
    facts: &mut ModuleFacts,
    ty: wasmparser::GlobalType,
    import: Option<Import>,
) -> Result<(), Error> {
    if ty.shared {
        return Err(features::refuse("shared globals (threads)", "compile without threads"));
    }
    let content = value_type(facts, ty.content_type)?;
    facts.globals.push(Global { ty: content, mutable: ty.mutable, import });
    Ok(())
}

fn gather_exports(
    facts: &mut ModuleFacts,
    section: wasmparser::ExportSectionReader<'_>,
) -> Result<(), Error> {
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
        let kind = match export.kind {
            ExternalKind::Func | ExternalKind::FuncExact => ExportKind::Func,
            ExternalKind::Table => ExportKind::Table,
            ExternalKind::Memory => ExportKind::Memory,
            ExternalKind::Global => ExportKind::Global,
            ExternalKind::Tag => ExportKind::Tag,
        };
        facts.exports.push((export.name.to_owned(), kind, export.index));
    }
    Ok(())
}

fn gather_elements(
    facts: &mut ModuleFacts,
    section: wasmparser::ElementSectionReader<'_>,
) -> Result<(), Error> {
    for item in section.into_iter_with_offsets() {
        let (offset, element) = item.map_err(invalid)?;
        facts.elements.push(matches!(element.kind, wasmparser::ElementKind::Passive));
        match element.items {
            wasmparser::ElementItems::Functions(functions) => {
                for function in functions {
                    facts.references.push(function.map_err(invalid)?);
                }
            }
            wasmparser::ElementItems::Expressions(ty, exprs) => {
                features::check_value_type(wasmparser::ValType::Ref(ty))
                    .map_err(|e| at(e, offset))?;
                for expr in exprs {
                    gather_constant(facts, &expr.map_err(invalid)?)?;
                }
            }
        }
    }
    Ok(())
}

/// Remembers the functions that a constant expression names.
fn gather_constant(facts: &mut ModuleFacts, expr: &wasmparser::ConstExpr<'_>) -> Result<(), Error> {
    let mut operators = expr.get_operators_reader();
    while !operators.eof() {
        let (op, offset) = operators.read_with_offset().map_err(invalid)?;
        features::check_operator(&op).map_err(|e| at(e, offset))?;
        if let wasmparser::Operator::RefFunc { function_index } = op {
            facts.references.push(function_index);
        }
    }
    Ok(())
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
