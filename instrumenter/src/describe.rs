//! The parts of the metadata that come straight from the module.

use std::collections::{BTreeSet, HashMap};

use wasm_encoder::ExportKind;

use crate::abi;
use crate::facts::ModuleFacts;
use crate::metadata::{Export, GlobalInfo, MemoryInfo, Metadata, TableInfo, TagInfo};
use crate::types::kind;

/// Describes the module in the metadata; functions and points follow when it is rewritten.
/// `references` are the functions that code names by `ref.func`.
pub(crate) fn describe(wasm: &[u8], facts: &ModuleFacts, references: BTreeSet<u32>) -> Metadata {
    let mut referenced = references;
    referenced.extend(&facts.references);
    Metadata {
        abi_version: abi::ABI_VERSION,
        cost_table: abi::COST_TABLE_VERSION,
        original_hash: *blake3::hash(wasm).as_bytes(),
        frames_base: 0,
        refs_base: 0,
        types: facts.types.iter().map(|ty| ty.kinds()).collect(),
        functions: Vec::with_capacity(facts.function_types.len()),
        imported_functions: facts.imported_functions,
        imports: facts.imports.clone(),
        points: Vec::new(),
        exports: facts
            .exports
            .iter()
            .filter(|(_, kind, _)| *kind == ExportKind::Func)
            .map(|(name, _, index)| Export { name: name.clone(), function: *index })
            .collect(),
        start: facts.start,
        memories: memories(facts),
        globals: globals(facts),
        tables: tables(facts),
        tags: tags(facts),
        referenced_functions: referenced.into_iter().collect(),
        stack_bytes_per_step: 0,
        stack_bytes_fixed: 0,
        data_segments: facts.data.len() as u32,
        element_segments: facts.elements.len() as u32,
    }
}

/// The names under which things of one kind are exported, by their index.
fn exported(facts: &ModuleFacts, what: ExportKind) -> HashMap<u32, Vec<String>> {
    let mut names: HashMap<u32, Vec<String>> = HashMap::new();
    for (name, kind, index) in &facts.exports {
        if *kind == what {
            names.entry(*index).or_default().push(name.clone());
        }
    }
    names
}

fn memories(facts: &ModuleFacts) -> Vec<MemoryInfo> {
    let mut names = exported(facts, ExportKind::Memory);
    (0..)
        .zip(&facts.memories)
        .map(|(index, memory)| MemoryInfo {
            index,
            pages: memory.pages,
            pages_max: memory.pages_max,
            memory64: memory.memory64,
            import: memory.import.clone(),
            exports: names.remove(&index).unwrap_or_default(),
        })
        .collect()
}

fn globals(facts: &ModuleFacts) -> Vec<GlobalInfo> {
    let mut names = exported(facts, ExportKind::Global);
    (0..)
        .zip(&facts.globals)
        .filter(|(_, global)| global.mutable || global.import.is_some())
        .map(|(index, global)| GlobalInfo {
            index,
            ty: kind(global.ty),
            mutable: global.mutable,
            import: global.import.clone(),
            exports: names.remove(&index).unwrap_or_default(),
        })
        .collect()
}

fn tables(facts: &ModuleFacts) -> Vec<TableInfo> {
    let mut names = exported(facts, ExportKind::Table);
    (0..)
        .zip(&facts.tables)
        .map(|(index, table)| TableInfo {
            index,
            element: kind(table.element),
            elements: table.elements,
            elements_max: table.elements_max,
            table64: table.table64,
            import: table.import.clone(),
            exports: names.remove(&index).unwrap_or_default(),
        })
        .collect()
}

fn tags(facts: &ModuleFacts) -> Vec<TagInfo> {
    (0..)
        .zip(&facts.tags)
        .map(|(index, (_, import))| TagInfo {
            index,
            params: facts.tag_type(index).kinds().params,
            import: import.clone(),
        })
        .collect()
}
