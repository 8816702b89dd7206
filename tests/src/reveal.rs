//! Makes everything inside a module visible from outside, without touching its code.

use wasm_encoder::{ExportKind, ExportSection, Module, RawSection, SectionId};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

/// Prefix of the names of added exports.
pub const PREFIX: &str = "reveal.";

/// What is inside a module.
#[derive(Debug, Clone, Default)]
pub struct Inside {
    /// The same code, all exported: `reveal.func.N`, `reveal.memory.N`, `reveal.table.N` and
    /// `reveal.global.N`. It has no start function: that of the original is `start`.
    pub wasm: Vec<u8>,
    /// The start function.
    pub start: Option<u32>,
    /// Number of functions, imported ones included.
    pub functions: u32,
    /// Number of memories.
    pub memories: u32,
    /// Number of tables.
    pub tables: u32,
    /// Indices of the globals that are mutable or imported.
    pub globals: Vec<u32>,
    /// The imports of functions, in order.
    pub imports: Vec<(String, String)>,
}

/// Reveals a module, which has to be valid.
pub fn reveal(wasm: &[u8]) -> anyhow::Result<Inside> {
    let mut inside = Inside::default();
    let mut exports = ExportSection::new();
    let mut sections: Vec<(u8, &[u8])> = Vec::new();
    let mut globals = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        match &payload {
            Payload::ImportSection(reader) => {
                for import in reader.clone().into_imports() {
                    let import = import?;
                    match import.ty {
                        TypeRef::Func(_) | TypeRef::FuncExact(_) => {
                            inside.imports.push((import.module.into(), import.name.into()));
                            inside.functions += 1;
                        }
                        TypeRef::Memory(_) => inside.memories += 1,
                        TypeRef::Table(_) => inside.tables += 1,
                        TypeRef::Global(_) => {
                            inside.globals.push(globals);
                            globals += 1;
                        }
                        TypeRef::Tag(_) => {}
                    }
                }
            }
            Payload::FunctionSection(reader) => inside.functions += reader.count(),
            Payload::MemorySection(reader) => inside.memories += reader.count(),
            Payload::TableSection(reader) => inside.tables += reader.count(),
            Payload::GlobalSection(reader) => {
                for global in reader.clone() {
                    if global?.ty.mutable {
                        inside.globals.push(globals);
                    }
                    globals += 1;
                }
            }
            Payload::ExportSection(reader) => {
                for export in reader.clone() {
                    let export = export?;
                    exports.export(export.name, kind(export.kind)?, export.index);
                }
                continue;
            }
            Payload::StartSection { func, .. } => {
                inside.start = Some(*func);
                continue;
            }
            _ => {}
        }
        if let Some((id, range)) = payload.as_section() {
            sections.push((id, &wasm[range.start..range.end]));
        }
    }
    add_exports(&mut exports, &inside);
    inside.wasm = assemble(&sections, &exports);
    Ok(inside)
}

fn kind(kind: ExternalKind) -> anyhow::Result<ExportKind> {
    Ok(match kind {
        ExternalKind::Func => ExportKind::Func,
        ExternalKind::Table => ExportKind::Table,
        ExternalKind::Memory => ExportKind::Memory,
        ExternalKind::Global => ExportKind::Global,
        ExternalKind::Tag => ExportKind::Tag,
        other => anyhow::bail!("an export of kind {other:?}"),
    })
}

fn add_exports(exports: &mut ExportSection, inside: &Inside) {
    let mut add = |what: &str, kind, index| {
        exports.export(&format!("{PREFIX}{what}.{index}"), kind, index);
    };
    (0..inside.functions).for_each(|index| add("func", ExportKind::Func, index));
    (0..inside.memories).for_each(|index| add("memory", ExportKind::Memory, index));
    (0..inside.tables).for_each(|index| add("table", ExportKind::Table, index));
    inside.globals.iter().for_each(|&index| add("global", ExportKind::Global, index));
}

fn assemble(sections: &[(u8, &[u8])], exports: &ExportSection) -> Vec<u8> {
    let later = |id: u8| {
        let after = [SectionId::Element, SectionId::DataCount, SectionId::Code, SectionId::Data];
        after.iter().any(|&section| section as u8 == id)
    };
    let place = sections.iter().position(|&(id, _)| later(id)).unwrap_or(sections.len());
    let mut module = Module::new();
    let raw = |&(id, data)| RawSection { id, data };
    for section in &sections[..place] {
        module.section(&raw(section));
    }
    module.section(exports);
    for section in &sections[place..] {
        module.section(&raw(section));
    }
    module.finish()
}
