//! The exports of an instrumented module that the engine uses, looked up once for all instances.

use tasklet_instrumenter::{Metadata, ValType, abi};
use wasmtime::{
    AsContextMut, Extern, Global, Instance, Memory, ModuleExport, Table, TypedFunc, WasmParams,
    WasmResults,
};

use crate::error::Error;
use crate::state::Exports;

/// The names of the shadow tables, and what they hold.
const SHADOW_TABLES: &[(ValType, &str)] = &[
    (ValType::FuncRef, abi::REFS),
    (ValType::ExternRef, abi::REFS_EXTERN),
    (ValType::ExnRef, abi::REFS_EXN),
];

/// Where in the module they are. To look for a name in each instance would take longer than to make
/// it.
pub(crate) struct Handles {
    fuel: ModuleExport,
    debt: ModuleExport,
    sp: ModuleExport,
    ref_sp: ModuleExport,
    frames: ModuleExport,
    functions: ModuleExport,
    run: ModuleExport,
    shadow_tables: Vec<(ValType, ModuleExport)>,
    grow_references: Option<ModuleExport>,
    forget_references: Option<ModuleExport>,
    drop_data: Option<ModuleExport>,
    drop_elements: Option<ModuleExport>,
    memories: Vec<ModuleExport>,
    /// Whether it is imported, and where it is otherwise.
    globals: Vec<(bool, Option<ModuleExport>)>,
    tables: Vec<ModuleExport>,
    tags: Vec<ModuleExport>,
    dropped_data: Vec<ModuleExport>,
    dropped_elements: Vec<ModuleExport>,
    /// Position of the memory that host imports read and write.
    guest: usize,
}

impl Handles {
    /// Looks them up.
    pub(super) fn of(module: &wasmtime::Module, metadata: &Metadata) -> Result<Handles, Error> {
        let maybe = |name: &str| module.get_export_index(name);
        let named =
            |name: &str| maybe(name).ok_or_else(|| Error::internal(format!("no export `{name}`")));
        let numbered = |prefix: &str, index: u32| named(&format!("{prefix}{index}"));
        let bitmap = |prefix: &str, segments: u32| -> Vec<ModuleExport> {
            (0..segments.div_ceil(64)).map_while(|i| maybe(&format!("{prefix}{i}"))).collect()
        };
        let guest = metadata.memories.iter().position(|m| m.exports.iter().any(|e| e == "memory"));
        Ok(Handles {
            fuel: named(abi::FUEL)?,
            debt: named(abi::DEBT)?,
            sp: named(abi::SP)?,
            ref_sp: named(abi::REF_SP)?,
            frames: named(abi::FRAMES)?,
            functions: named(abi::FUNCTIONS)?,
            run: named(abi::RUN)?,
            shadow_tables: (SHADOW_TABLES.iter())
                .filter_map(|(ty, name)| Some((*ty, maybe(name)?)))
                .collect(),
            grow_references: maybe(abi::GROW_REFERENCES),
            forget_references: maybe(abi::FORGET_REFERENCES),
            drop_data: maybe(abi::DROP_DATA),
            drop_elements: maybe(abi::DROP_ELEMENTS),
            memories: (metadata.memories.iter())
                .map(|info| numbered(abi::MEMORY, info.index))
                .collect::<Result<_, _>>()?,
            globals: (metadata.globals.iter())
                .map(|info| {
                    let own = maybe(&format!("{}{}", abi::GLOBAL, info.index));
                    (info.import.is_some(), own)
                })
                .collect(),
            tables: (metadata.tables.iter())
                .map(|info| numbered(abi::TABLE, info.index))
                .collect::<Result<_, _>>()?,
            tags: (metadata.tags.iter())
                .map(|info| numbered(abi::TAG, info.index))
                .collect::<Result<_, _>>()?,
            dropped_data: bitmap(abi::DROPPED_DATA, metadata.data_segments),
            dropped_elements: bitmap(abi::DROPPED_ELEMENTS, metadata.element_segments),
            guest: guest.unwrap_or(0),
        })
    }

    /// Those of an instance; `imported` are the globals that it was given, in the module's order.
    pub(crate) fn exports<T: 'static>(
        &self,
        mut store: impl AsContextMut<Data = T>,
        instance: &Instance,
        imported: &[Global],
    ) -> Result<Exports, Error> {
        let mut found = Found { store: store.as_context_mut(), instance };
        let mut imported = imported.iter().copied();
        let globals = (self.globals.iter())
            .map(|(is_imported, own)| match (is_imported, own) {
                (true, own) => match (imported.next(), own) {
                    (Some(given), _) => Ok(given),
                    (None, Some(own)) => found.global(own),
                    (None, None) => Err(Error::internal("no global was given")),
                },
                (false, Some(own)) => found.global(own),
                (false, None) => Err(Error::internal("a global is not exported")),
            })
            .collect::<Result<_, _>>()?;
        let memories: Vec<Memory> =
            self.memories.iter().map(|at| found.memory(at)).collect::<Result<_, _>>()?;
        let shadow_tables: Vec<(ValType, Table)> = (self.shadow_tables.iter())
            .map(|(ty, at)| Ok((*ty, found.table(at)?)))
            .collect::<Result<_, Error>>()?;
        Ok(Exports {
            instance: *instance,
            fuel: found.global(&self.fuel)?,
            debt: found.global(&self.debt)?,
            sp: found.global(&self.sp)?,
            ref_sp: found.global(&self.ref_sp)?,
            frames: found.memory(&self.frames)?,
            keeps_alive: shadow_tables.iter().any(|(ty, _)| *ty != ValType::FuncRef),
            shadow_tables,
            functions: found.table(&self.functions)?,
            run: found.function(&self.run)?,
            grow_references: found.maybe(&self.grow_references)?,
            forget_references: found.maybe(&self.forget_references)?,
            drop_data: found.maybe(&self.drop_data)?,
            drop_elements: found.maybe(&self.drop_elements)?,
            guest: memories.get(self.guest).copied(),
            memories,
            globals,
            tables: self.tables.iter().map(|at| found.table(at)).collect::<Result<_, _>>()?,
            tags: (self.tags.iter())
                .map(|at| found.get(at)?.into_tag().ok_or_else(other))
                .collect::<Result<_, _>>()?,
            dropped_data: found.globals(&self.dropped_data)?,
            dropped_elements: found.globals(&self.dropped_elements)?,
        })
    }
}

/// An instance whose exports are wanted.
struct Found<'a, T: 'static> {
    store: wasmtime::StoreContextMut<'a, T>,
    instance: &'a Instance,
}

fn other() -> Error {
    Error::internal("an export of the engine's own is missing or of another kind")
}

impl<T: 'static> Found<'_, T> {
    fn get(&mut self, at: &ModuleExport) -> Result<Extern, Error> {
        self.instance.get_module_export(&mut self.store, at).ok_or_else(other)
    }

    fn global(&mut self, at: &ModuleExport) -> Result<Global, Error> {
        self.get(at)?.into_global().ok_or_else(other)
    }

    fn globals(&mut self, all: &[ModuleExport]) -> Result<Vec<Global>, Error> {
        all.iter().map(|at| self.global(at)).collect()
    }

    fn memory(&mut self, at: &ModuleExport) -> Result<Memory, Error> {
        self.get(at)?.into_memory().ok_or_else(other)
    }

    fn table(&mut self, at: &ModuleExport) -> Result<Table, Error> {
        self.get(at)?.into_table().ok_or_else(other)
    }

    fn function<P: WasmParams, R: WasmResults>(
        &mut self,
        at: &ModuleExport,
    ) -> Result<TypedFunc<P, R>, Error> {
        let function = self.get(at)?.into_func().ok_or_else(other)?;
        function.typed(&self.store).map_err(|_| other())
    }

    fn maybe<P: WasmParams, R: WasmResults>(
        &mut self,
        at: &Option<ModuleExport>,
    ) -> Result<Option<TypedFunc<P, R>>, Error> {
        at.as_ref().map(|at| self.function(at)).transpose()
    }
}
