//! The state of a module before anything ran, against which snapshots are made small.

use tasklet_instrumenter::{Metadata, TableInfo, ValType};
use wasmtime::{ExternType, Func, Global, Instance, Ref, Store, Val};

use super::Module;
use crate::error::Error;
use crate::snapshot::{PAGE_BYTES, PageData, diff_pages};
use crate::state::Exports;
use crate::value::FunctionMap;

/// What memories and tables hold right after instantiation, in the metadata's order.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) memories: Vec<MemoryImage>,
    /// Of tables that hold no functions, nothing: their contents count as null.
    pub(crate) tables: Vec<Vec<Option<u32>>>,
}

/// The pages of a memory that are not all zero.
#[derive(Debug, Default)]
pub(crate) struct MemoryImage {
    /// First page and bytes of each run of pages, ascending.
    runs: Vec<(u64, Vec<u8>)>,
}

impl MemoryImage {
    /// The pages that are kept, as ranges.
    pub(crate) fn pages(&self) -> impl Iterator<Item = std::ops::Range<u64>> {
        let of =
            |(first, bytes): &(u64, Vec<u8>)| *first..first + (bytes.len() / PAGE_BYTES) as u64;
        self.runs.iter().map(of)
    }

    /// The bytes of a page, unless they are all zero.
    pub(crate) fn page(&self, page: u64) -> Option<&[u8]> {
        let after = self.runs.partition_point(|(first, _)| *first <= page);
        let (first, bytes) = self.runs.get(after.checked_sub(1)?)?;
        let at = usize::try_from(page - first).ok()?.checked_mul(PAGE_BYTES)?;
        bytes.get(at..at + PAGE_BYTES)
    }
}

impl Image {
    /// Reads the image off an instance in which nothing has run: the instrumenter has taken the
    /// start function out, so the imports are never called. It depends on the values of imported
    /// globals, which are given in the module's order.
    pub(super) fn make(module: &Module, globals: &[Val]) -> Result<Image, Error> {
        let refused = |error: wasmtime::Error| Error::Instantiate(error.into_boxed_dyn_error());
        let mut store = Store::try_new(module.engine().wasmtime(), ()).map_err(refused)?;
        let mut imports = Vec::new();
        let mut values = globals.iter();
        let mut globals = Vec::new();
        for import in module.compiled().imports() {
            let ty = match (import.ty(), values.as_slice()) {
                (ExternType::Func(ty), _) => ty,
                (ExternType::Global(ty), [value, ..]) => {
                    let global = Global::new(&mut store, ty, *value).map_err(refused)?;
                    values.next();
                    globals.push(global);
                    imports.push(global.into());
                    continue;
                }
                _ => return Err(Error::internal("an import that no tasklet could be given")),
            };
            let never = |_: wasmtime::Caller<'_, ()>, _: &[wasmtime::Val], _: &mut [_]| {
                Err(wasmtime::Error::msg("called before anything ran"))
            };
            imports.push(Func::new(&mut store, ty, never).into());
        }
        let instance = Instance::new(&mut store, module.compiled(), &imports).map_err(refused)?;
        let metadata = module.metadata();
        let exports = module.handles()?.exports(&mut store, &instance, &globals)?;
        let memories = exports.memories.iter().map(|memory| memory_image(memory.data(&store)));
        Ok(Image { memories: memories.collect(), tables: tables(&mut store, &exports, metadata)? })
    }
}

fn memory_image(bytes: &[u8]) -> MemoryImage {
    let runs = diff_pages(bytes, |_| None).into_iter().filter_map(|run| match run.data {
        PageData::Zero => None,
        PageData::Bytes(bytes) => Some((run.first, bytes.into_owned())),
    });
    MemoryImage { runs: runs.collect() }
}

fn tables(
    store: &mut Store<()>,
    exports: &Exports,
    metadata: &Metadata,
) -> Result<Vec<Vec<Option<u32>>>, Error> {
    let map = FunctionMap::read(&mut *store, exports.functions, &metadata.referenced_functions);
    let read = |(table, info): (&wasmtime::Table, &TableInfo)| {
        if info.element != ValType::FuncRef {
            return Ok(Vec::new());
        }
        (0..table.size(&*store))
            .map(|element| match table.get(&mut *store, element) {
                Some(Ref::Func(function)) => map.index(&mut *store, function),
                _ => Err(Error::internal("a table that holds no functions")),
            })
            .collect()
    };
    exports.tables.iter().zip(&metadata.tables).map(read).collect()
}
