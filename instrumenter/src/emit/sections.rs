//! The sections of the rewritten module but the code: the original's, with what is added behind.

use std::collections::HashMap;

use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{
    CompositeInnerType, CompositeType, ConstExpr, ElementSection, Elements, EntityType, ExportKind,
    ExportSection, FuncType, FunctionSection, GlobalSection, GlobalType, ImportSection,
    MemorySection, MemoryType, NameMap, NameSection, RawSection, RefType, Section, SectionId,
    SubType, TableSection, TableType, TagKind, TagSection, TagType, TypeSection,
};
use wasmparser::{Parser, Payload};

use crate::abi::{self, limits};
use crate::error::{Error, ErrorKind};
use crate::facts::{self, ModuleFacts};
use crate::rewrite::Additions;
use crate::types::{Signature, WasmType};

/// The sections, as far as they have been read.
pub(super) struct Sections<'a> {
    facts: &'a ModuleFacts,
    add: &'a Additions,
    exported: &'a HashMap<u32, u32>,
    mapping: Mapping,
    types: TypeSection,
    tables: TableSection,
    globals: GlobalSection,
    elements: ElementSection,
    /// The data section's contents.
    data: Option<&'a [u8]>,
}

/// How the original's indices and types are written: see [`crate::types`].
struct Mapping {
    imported: u32,
    wrappers: u32,
}

impl Reencode for Mapping {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, reencode::Error<Self::Error>> {
        Ok(if function < self.imported { self.wrappers + function } else { function })
    }

    fn ref_type(
        &mut self,
        ty: wasmparser::RefType,
    ) -> Result<RefType, reencode::Error<Self::Error>> {
        let heap_type = self.heap_type(ty.heap_type())?;
        Ok(RefType { nullable: true, heap_type })
    }
}

fn internal(error: reencode::Error<std::convert::Infallible>) -> Error {
    Error::new(ErrorKind::Internal, error.to_string())
}

fn func_type(signature: &Signature) -> FuncType {
    FuncType::new(signature.params.iter().copied(), signature.results.iter().copied())
}

impl<'a> Sections<'a> {
    pub fn new(
        facts: &'a ModuleFacts,
        add: &'a Additions,
        exported: &'a HashMap<u32, u32>,
        wrappers: u32,
    ) -> Sections<'a> {
        Sections {
            facts,
            add,
            exported,
            mapping: Mapping { imported: facts.imported_functions, wrappers },
            types: TypeSection::new(),
            tables: TableSection::new(),
            globals: GlobalSection::new(),
            elements: ElementSection::new(),
            data: None,
        }
    }

    /// Reads the sections of the original that are not in the facts.
    pub fn read(&mut self, original: &'a [u8]) -> Result<(), Error> {
        self.imported_tables();
        for payload in Parser::new(0).parse_all(original) {
            let mapping = &mut self.mapping;
            match payload.map_err(facts::invalid)? {
                Payload::TypeSection(section) => self.types(section)?,
                Payload::TableSection(section) => {
                    mapping.parse_table_section(&mut self.tables, section).map_err(internal)?;
                }
                Payload::GlobalSection(section) => {
                    mapping.parse_global_section(&mut self.globals, section).map_err(internal)?;
                }
                Payload::ElementSection(section) => {
                    mapping.parse_element_section(&mut self.elements, section).map_err(internal)?;
                }
                Payload::DataSection(section) => self.data = original.get(section.range()),
                _ => {}
            }
        }
        self.add_behind();
        Ok(())
    }

    /// The original's types with the fuel, in their groups; and those that are added.
    fn types(&mut self, section: wasmparser::TypeSectionReader<'_>) -> Result<(), Error> {
        let mut index = 0;
        for group in section {
            let group = group.map_err(facts::invalid)?;
            let explicit = group.is_explicit_rec_group();
            let types: Vec<SubType> = group
                .types()
                .map(|_| {
                    let signature = self.facts.types[index].threaded();
                    index += 1;
                    SubType {
                        is_final: true,
                        supertype_idx: None,
                        composite_type: CompositeType {
                            inner: CompositeInnerType::Func(func_type(&signature)),
                            shared: false,
                            descriptor: None,
                            describes: None,
                        },
                    }
                })
                .collect();
            if explicit {
                self.types.ty().rec(types);
            } else {
                types.iter().for_each(|ty| self.types.ty().subtype(ty));
            }
        }
        Ok(())
    }

    /// A tasklet owns its tables: imported ones come first, as they did.
    fn imported_tables(&mut self) {
        for table in self.facts.tables.iter().filter(|table| table.import.is_some()) {
            self.tables.table(TableType {
                element_type: reference(table.element),
                table64: table.table64,
                minimum: table.elements,
                maximum: table.elements_max,
                shared: false,
            });
        }
    }

    fn add_behind(&mut self) {
        self.add.types.added().iter().for_each(|ty| self.types.ty().func_type(&func_type(ty)));
        for (ty, value) in &self.add.globals {
            let value = match ty {
                WasmType::I32 => ConstExpr::i32_const(*value as i32),
                WasmType::I64 => ConstExpr::i64_const(*value),
                other => ConstExpr::ref_null(reference(*other).heap_type),
            };
            self.globals.global(GlobalType { val_type: *ty, mutable: true, shared: false }, &value);
        }
        for (index, table) in (self.facts.tables.len() as u32..).zip(&self.add.tables) {
            self.tables.table(TableType {
                element_type: reference(table.element),
                table64: false,
                minimum: u64::from(table.elements),
                maximum: Some(table.elements_max),
                shared: false,
            });
            if !table.functions.is_empty() {
                let functions = Elements::Functions(table.functions.as_slice().into());
                self.elements.active(Some(index), &ConstExpr::i32_const(0), functions);
            }
        }
    }

    /// Writes the sections that come before the code.
    pub fn before_code(&self, out: &mut Vec<u8>) {
        self.types.append_to(out);
        self.imports().append_to(out);
        let mut functions = FunctionSection::new();
        let defined = &self.facts.function_types[self.facts.imported_functions as usize..];
        defined.iter().for_each(|ty| {
            functions.function(*ty);
        });
        self.add.functions.iter().for_each(|added| {
            functions.function(added.ty);
        });
        functions.append_to(out);
        self.tables.append_to(out);
        self.memories().append_to(out);
        let mut tags = TagSection::new();
        for ty in &self.add.tag_types {
            tags.tag(TagType { kind: TagKind::Exception, func_type_idx: *ty });
        }
        if !tags.is_empty() {
            tags.append_to(out);
        }
        self.globals.append_to(out);
        self.exports().append_to(out);
        self.elements.append_to(out);
        if !self.facts.data.is_empty() {
            let count = self.facts.data.len() as u32;
            wasm_encoder::DataCountSection { count }.append_to(out);
        }
    }

    /// The sections that come behind the code.
    pub fn after_code(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(data) = self.data {
            RawSection { id: SectionId::Data.into(), data }.append_to(&mut out);
        }
        out
    }

    fn imports(&self) -> ImportSection {
        let mut imports = ImportSection::new();
        for ((module, name), ty) in self.facts.imports.iter().zip(&self.add.import_types) {
            imports.import(module, name, EntityType::Function(*ty));
        }
        for global in &self.facts.globals {
            if let Some((module, name)) = &global.import {
                let ty = GlobalType { val_type: global.ty, mutable: global.mutable, shared: false };
                imports.import(module, name, EntityType::Global(ty));
            }
        }
        imports
    }

    /// The memories, all of them defined here, and behind them that of the frames.
    fn memories(&self) -> MemorySection {
        let mut memories = MemorySection::new();
        let mut add = |minimum, maximum, memory64| {
            let page_size_log2 = None;
            memories.memory(MemoryType {
                minimum,
                maximum,
                memory64,
                shared: false,
                page_size_log2,
            });
        };
        for memory in &self.facts.memories {
            add(memory.pages, memory.pages_max, memory.memory64);
        }
        let pages = u64::from(limits::FRAME_PAGES_RESERVE) + 1;
        add(pages, Some(limits::FRAME_PAGES_MAX), false);
        memories
    }

    /// The original's exports, functions through their wrappers; then the guest's state and what
    /// is added, under the reserved prefix.
    fn exports(&self) -> ExportSection {
        let facts = self.facts;
        let mut exports = ExportSection::new();
        for (name, kind, index) in &facts.exports {
            let index = match kind {
                ExportKind::Func => self.exported.get(index).copied().unwrap_or(*index),
                _ => *index,
            };
            exports.export(name, *kind, index);
        }
        let mut own = |prefix: &str, kind: ExportKind, indices: &mut dyn Iterator<Item = usize>| {
            for index in indices {
                exports.export(&format!("{prefix}{index}"), kind, index as u32);
            }
        };
        own(abi::MEMORY, ExportKind::Memory, &mut (0..facts.memories.len()));
        let mutable = facts.globals.iter().enumerate().filter(|(_, global)| global.mutable);
        own(abi::GLOBAL, ExportKind::Global, &mut mutable.map(|(index, _)| index));
        own(abi::TABLE, ExportKind::Table, &mut (0..facts.tables.len()));
        own(abi::TAG, ExportKind::Tag, &mut (0..facts.tags.len()));
        for (name, kind, index) in &self.add.exports {
            exports.export(name, *kind, *index);
        }
        exports
    }

    /// Names function `N` of the original `N:name`.
    pub fn names(&self) -> NameSection {
        let mut map = NameMap::new();
        let total = self.facts.function_types.len() as u32;
        for index in 0..total {
            let name = self.facts.names.get(index as usize).and_then(Option::as_deref);
            map.append(index, &format!("{index}:{}", name.unwrap_or_default()));
        }
        for (index, added) in (total..).zip(&self.add.functions) {
            map.append(index, &added.name);
        }
        let mut names = NameSection::new();
        names.functions(&map);
        names
    }
}

fn reference(ty: WasmType) -> RefType {
    match ty {
        WasmType::Ref(ty) => ty,
        _ => unreachable!("tables hold references, and globals are numbers or references"),
    }
}
