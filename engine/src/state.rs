//! What a tasklet's store holds, and access to the instrumented module's own exports.

use std::any::Any;
use std::sync::Arc;

use tasklet_instrumenter::{Metadata, ValType, abi};
use wasmtime::{AsContextMut, Func, Global, Instance, Memory, Ref, Table, Tag, TypedFunc, Val};

use crate::changes::Changes;
use crate::error::Error;
use crate::host::{Codecs, Heritage, Issued};
use crate::limits::Limiter;
use crate::module::Image;
use crate::sched::Seat;
use crate::tasklet::Shared;
use crate::value::{FunctionMap, type_name};
use crate::wasi::{Wait, Wasi};

/// The data of a tasklet's store.
pub(crate) struct State {
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) limiter: Limiter,
    /// `None` only while the instance is being made; no guest code runs then.
    pub(crate) exports: Option<Arc<Exports>>,
    pub(crate) functions: Option<Arc<FunctionMap>>,
    pub(crate) wasi: Option<Wasi>,
    /// Its place in a scheduler, if it is in one.
    pub(crate) seat: Option<Seat>,
    pub(crate) codecs: Arc<Codecs>,
    pub(crate) heritage: Heritage,
    /// What memories and tables began with, once it is known.
    pub(crate) image: Option<Arc<Image>>,
    /// What is known of the memories' pages.
    pub(crate) changes: Changes,
    pub(crate) user: Box<dyn Any + Send + Sync>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) meter: Meter,
    /// Callbacks on the native stack. Above 0 nothing can be paused.
    pub(crate) depth: u32,
    /// What an import asked for by unwinding.
    pub(crate) pause: Option<Pause>,
    /// The import of the embedder's that the guest waits for.
    pub(crate) issued: Option<Issued>,
    /// Whether an import asked for a pause behind it.
    pub(crate) pause_behind: bool,
    /// Fuel taken away so that the next check fires, for such a pause.
    pub(crate) withheld: i64,
    /// Whether backtraces are kept for other threads.
    pub(crate) trace_imports: bool,
}

/// The count of steps around one slice.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Meter {
    /// Steps charged before the slice, the prepaid ones of all frames included.
    pub(crate) charged: u64,
    /// The fuel the slice began with.
    pub(crate) fuel: i64,
}

/// An unwinding asked for by an import.
#[derive(Debug)]
pub(crate) struct Pause {
    pub(crate) reason: PauseReason,
    /// The fuel at that moment; the global holds the sentinel.
    pub(crate) fuel: i64,
}

#[derive(Debug)]
pub(crate) enum PauseReason {
    Exit(u32),
    Wait(Wait),
    /// [`State::issued`] is what it waits for.
    Import,
    /// What the host could not do; the call is issued again.
    HostFailed(String),
    /// The seat has what is asked.
    Ask,
}

/// The exports of an instrumented module that the engine uses; see [`abi`].
pub(crate) struct Exports {
    /// For the exports by the names the guest gave them.
    pub(crate) instance: Instance,
    pub(crate) fuel: Global,
    pub(crate) debt: Global,
    pub(crate) sp: Global,
    pub(crate) ref_sp: Global,
    pub(crate) frames: Memory,
    /// Those that the module needs.
    shadow_tables: Vec<(ValType, Table)>,
    pub(crate) functions: Table,
    pub(crate) run: TypedFunc<(), i32>,
    /// Whether a shadow table holds what would be collected otherwise.
    pub(crate) keeps_alive: bool,
    /// There if any shadow table is.
    pub(crate) grow_references: Option<TypedFunc<i32, ()>>,
    /// The same.
    pub(crate) forget_references: Option<TypedFunc<(i32, i32), ()>>,
    pub(crate) drop_data: Option<TypedFunc<i32, ()>>,
    pub(crate) drop_elements: Option<TypedFunc<i32, ()>>,
    /// In the order of the metadata, as are the next three.
    pub(crate) memories: Vec<Memory>,
    pub(crate) globals: Vec<Global>,
    pub(crate) tables: Vec<Table>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) dropped_data: Vec<Global>,
    pub(crate) dropped_elements: Vec<Global>,
    /// The memory host imports read and write: the export `memory`, else the first.
    pub(crate) guest: Option<Memory>,
}

/// The names of the shadow tables, and what they hold.
const SHADOW_TABLES: &[(ValType, &str)] = &[
    (ValType::FuncRef, abi::REFS),
    (ValType::ExternRef, abi::REFS_EXTERN),
    (ValType::ExnRef, abi::REFS_EXN),
];

impl Exports {
    /// `imported` are the globals that the instance was given, in the module's order.
    pub(crate) fn find<T: 'static>(
        mut store: impl AsContextMut<Data = T>,
        instance: &Instance,
        metadata: &Metadata,
        imported: &[Global],
    ) -> Result<Exports, Error> {
        let mut store = store.as_context_mut();
        let missing = |name: &str| Error::internal(format!("no export `{name}`"));
        let mut global =
            |name: &str| instance.get_global(&mut store, name).ok_or_else(|| missing(name));
        let (fuel, debt) = (global(abi::FUEL)?, global(abi::DEBT)?);
        let (sp, ref_sp) = (global(abi::SP)?, global(abi::REF_SP)?);
        let mut imported = imported.iter().copied();
        let globals = (metadata.globals.iter())
            .map(|info| {
                let given = info.import.as_ref().and_then(|_| imported.next());
                given.map_or_else(|| global(&format!("{}{}", abi::GLOBAL, info.index)), Ok)
            })
            .collect::<Result<_, _>>()?;
        let mut bitmap = |prefix: &str, segments: u32| {
            (0..segments.div_ceil(64)).map_while(|i| global(&format!("{prefix}{i}")).ok()).collect()
        };
        let dropped_data = bitmap(abi::DROPPED_DATA, metadata.data_segments);
        let dropped_elements = bitmap(abi::DROPPED_ELEMENTS, metadata.element_segments);
        let mut table =
            |name: &str| instance.get_table(&mut store, name).ok_or_else(|| missing(name));
        let functions = table(abi::FUNCTIONS)?;
        let tables = (metadata.tables.iter())
            .map(|info| table(&format!("{}{}", abi::TABLE, info.index)))
            .collect::<Result<_, _>>()?;
        let shadow_tables: Vec<(ValType, Table)> = (SHADOW_TABLES.iter())
            .filter_map(|(ty, name)| Some((*ty, instance.get_table(&mut store, name)?)))
            .collect();
        let tags = (metadata.tags.iter())
            .map(|info| {
                let name = format!("{}{}", abi::TAG, info.index);
                instance.get_tag(&mut store, &name).ok_or_else(|| missing(&name))
            })
            .collect::<Result<_, _>>()?;
        let mut memory =
            |name: &str| instance.get_memory(&mut store, name).ok_or_else(|| missing(name));
        let frames = memory(abi::FRAMES)?;
        let memories: Vec<Memory> = (metadata.memories.iter())
            .map(|info| memory(&format!("{}{}", abi::MEMORY, info.index)))
            .collect::<Result<_, _>>()?;
        let named = metadata.memories.iter().position(|m| m.exports.iter().any(|e| e == "memory"));
        let guest = memories.get(named.unwrap_or(0)).copied();
        let run = (instance.get_typed_func(&mut store, abi::RUN))
            .map_err(|_| Error::internal("`run` is missing or has another type"))?;
        Ok(Exports {
            instance: *instance,
            fuel,
            debt,
            sp,
            ref_sp,
            frames,
            keeps_alive: shadow_tables.iter().any(|(ty, _)| *ty != ValType::FuncRef),
            shadow_tables,
            functions,
            run,
            grow_references: instance.get_typed_func(&mut store, abi::GROW_REFERENCES).ok(),
            forget_references: instance.get_typed_func(&mut store, abi::FORGET_REFERENCES).ok(),
            drop_data: instance.get_typed_func(&mut store, abi::DROP_DATA).ok(),
            drop_elements: instance.get_typed_func(&mut store, abi::DROP_ELEMENTS).ok(),
            memories,
            globals,
            tables,
            tags,
            dropped_data,
            dropped_elements,
            guest,
        })
    }

    /// The table for a frame's references of that type.
    pub(crate) fn shadow_table(&self, ty: ValType) -> Result<Table, Error> {
        let found = self.shadow_tables.iter().find(|(of, _)| *of == ty);
        found.map(|(_, table)| *table).ok_or_else(|| {
            Error::internal(format!("a frame cannot hold a value of type {}", type_name(ty)))
        })
    }

    /// All shadow tables, by what they hold. They have one index space.
    pub(crate) fn shadow_tables(&self) -> &[(ValType, Table)] {
        &self.shadow_tables
    }
}

/// What can be done with a tasklet's store, from outside a run and from inside an import alike.
pub(crate) trait Context: AsContextMut<Data = State> + Sized {
    fn exports(&self) -> Arc<Exports> {
        let exports = self.as_context().data().exports.clone();
        exports.expect("guest code runs, and frames exist, only once the instance is there")
    }

    fn metadata(&self) -> Arc<Metadata> {
        self.as_context().data().metadata.clone()
    }

    fn i64_global(&mut self, global: Global) -> i64 {
        global.get(&mut *self).i64().unwrap_or(0)
    }

    fn u32_global(&mut self, global: Global) -> u32 {
        global.get(&mut *self).i32().unwrap_or(0) as u32
    }

    fn set_global(&mut self, global: Global, value: impl Into<Val>) -> Result<(), Error> {
        global.set(&mut *self, value.into()).map_err(Error::internal)
    }

    /// The same, without counting references.
    fn with_exports<R>(&self, read: impl FnOnce(&Exports) -> R) -> R {
        let exports = self.as_context().data().exports.as_deref();
        read(exports.expect("guest code runs, and frames exist, only once the instance is there"))
    }

    fn read_fuel(&mut self) -> i64 {
        let fuel = self.with_exports(|exports| exports.fuel);
        self.i64_global(fuel)
    }

    fn write_fuel(&mut self, fuel: i64) -> Result<(), Error> {
        let global = self.with_exports(|exports| exports.fuel);
        self.set_global(global, fuel)
    }

    /// Steps charged up to now, asked from inside an import.
    fn charged_so_far(&mut self) -> u64 {
        let debt = self.with_exports(|exports| exports.debt);
        let debt = self.i64_global(debt);
        let state = self.as_context();
        let state = state.data();
        let bias = if state.depth > 0 { i64::from(state.limiter.limits.callback_steps) } else { 0 };
        let (meter, withheld) = (state.meter, state.withheld);
        let fuel = self.read_fuel() - bias + withheld;
        meter.charged.saturating_add_signed(meter.fuel - fuel + debt)
    }

    /// The map from function references to original indices, made when first needed.
    fn function_map(&mut self) -> Arc<FunctionMap> {
        if let Some(map) = &self.as_context().data().functions {
            return map.clone();
        }
        let (exports, metadata) = (self.exports(), self.metadata());
        let map = FunctionMap::read(&mut *self, exports.functions, &metadata.referenced_functions);
        let map = Arc::new(map);
        self.as_context_mut().data_mut().functions = Some(map.clone());
        map
    }

    /// The function with that original index, if its address is ever taken.
    fn function(&mut self, index: u32) -> Result<Func, Error> {
        let (exports, metadata) = (self.exports(), self.metadata());
        let element = metadata.referenced_functions.binary_search(&index).ok();
        let found = element.and_then(|e| exports.functions.get(&mut *self, e as u64));
        match found {
            Some(Ref::Func(Some(function))) => Ok(function),
            _ => Err(Error::snapshot(format!("no reference to function {index} can exist"))),
        }
    }
}

impl<T: AsContextMut<Data = State>> Context for T {}
