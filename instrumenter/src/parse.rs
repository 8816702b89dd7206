//! Parsing with walrus, and the parts of the metadata that come straight from the module.

use std::collections::BTreeSet;

use walrus::{
    ConstExpr, ConstOp, ElementItems, ExportItem, FunctionId, GlobalKind, ImportKind, Module,
    ModuleConfig,
};

use crate::abi;
use crate::error::{Error, ErrorKind};
use crate::facts::ModuleFacts;
use crate::graph::build::from_walrus;
use crate::metadata::{Export, GlobalInfo, MemoryInfo, Metadata, TableInfo};

/// Parses a module that the validator has accepted.
///
/// # Errors
/// Where walrus disagrees with the validator.
pub(crate) fn parse(wasm: &[u8]) -> Result<Module, Error> {
    let mut config = ModuleConfig::new();
    config.generate_dwarf(false).generate_producers_section(false).strict_validate(false);
    let mut module =
        config.parse(wasm).map_err(|e| Error::new(ErrorKind::Internal, format!("{e:#}")))?;
    // Sections nobody here knows hold indices and offsets that the rewriting makes stale.
    let customs: Vec<_> = module.customs.iter().map(|(id, _)| id).collect();
    for id in customs {
        module.customs.delete(id);
    }
    Ok(module)
}

/// Describes the module in the metadata; functions and points follow when it is rewritten.
pub(crate) fn describe(wasm: &[u8], module: &Module, facts: &ModuleFacts) -> Metadata {
    Metadata {
        abi_version: abi::ABI_VERSION,
        cost_table: abi::COST_TABLE_VERSION,
        original_hash: *blake3::hash(wasm).as_bytes(),
        frames_base: 0,
        refs_base: 0,
        types: facts.types.clone(),
        functions: Vec::with_capacity(facts.function_types.len()),
        imported_functions: facts.imported_functions,
        imports: imports(module),
        points: Vec::new(),
        exports: exports(module),
        start: module.start.map(|id| id.index() as u32),
        memories: memories(module),
        globals: module
            .globals
            .iter()
            .filter(|global| global.mutable)
            .map(|global| GlobalInfo {
                index: global.id().index() as u32,
                ty: from_walrus(global.ty),
            })
            .collect(),
        tables: module
            .tables
            .iter()
            .map(|table| TableInfo {
                index: table.id().index() as u32,
                elements: table.initial,
                elements_max: table.maximum,
            })
            .collect(),
        referenced_functions: referenced_functions(module, facts),
        data_segments: module.data.iter().count() as u32,
        element_segments: module.elements.iter().count() as u32,
    }
}

fn imports(module: &Module) -> Vec<(String, String)> {
    module
        .imports
        .iter()
        .filter(|import| matches!(import.kind, ImportKind::Function(_)))
        .map(|import| (import.module.clone(), import.name.clone()))
        .collect()
}

fn exports(module: &Module) -> Vec<Export> {
    module
        .exports
        .iter()
        .filter_map(|export| match export.item {
            ExportItem::Function(id) => {
                Some(Export { name: export.name.clone(), function: id.index() as u32 })
            }
            _ => None,
        })
        .collect()
}

fn memories(module: &Module) -> Vec<MemoryInfo> {
    let exported = |id| {
        module
            .exports
            .iter()
            .filter(|export| matches!(export.item, ExportItem::Memory(memory) if memory == id))
            .map(|export| export.name.clone())
            .collect()
    };
    module
        .memories
        .iter()
        .map(|memory| MemoryInfo {
            index: memory.id().index() as u32,
            pages: memory.initial,
            pages_max: memory.maximum,
            exports: exported(memory.id()),
        })
        .collect()
}

/// Every function that can be in a table, a global or an operand.
fn referenced_functions(module: &Module, facts: &ModuleFacts) -> Vec<u32> {
    let mut found: BTreeSet<u32> = facts.references.iter().copied().collect();
    let mut add = |id: FunctionId| {
        found.insert(id.index() as u32);
    };
    for element in module.elements.iter() {
        match &element.items {
            ElementItems::Functions(functions) => functions.iter().for_each(|id| add(*id)),
            ElementItems::Expressions(_, exprs) => {
                exprs.iter().for_each(|expr| constant_references(expr, &mut add));
            }
        }
    }
    for global in module.globals.iter() {
        if let GlobalKind::Local(expr) = &global.kind {
            constant_references(expr, &mut add);
        }
    }
    for table in module.tables.iter() {
        if let Some(expr) = &table.init {
            constant_references(expr, &mut add);
        }
    }
    found.into_iter().collect()
}

fn constant_references(expr: &ConstExpr, add: &mut impl FnMut(FunctionId)) {
    match expr {
        ConstExpr::RefFunc(id) => add(*id),
        ConstExpr::Extended(ops) => {
            for op in ops {
                if let ConstOp::RefFunc(id) = op {
                    add(*id);
                }
            }
        }
        _ => {}
    }
}
