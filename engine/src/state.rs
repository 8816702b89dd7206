//! What a tasklet's store holds, and access to the instrumented module's own exports.

use std::any::Any;
use std::sync::Arc;

use tasklet_instrumenter::{Metadata, ValType};
use wasmtime::{AsContextMut, Func, Global, Instance, Memory, Ref, Table, Tag, TypedFunc, Val};

use crate::changes::Changes;
use crate::error::Error;
use crate::host::{Codecs, Heritage, Issued};
use crate::limits::Limiter;
use crate::module::Image;
use crate::sched::Seat;
use crate::sharing::Sharing;
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
    /// The pages that it shares with its forks.
    pub(crate) sharing: Sharing,
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
    /// The count of charged steps at which what was granted ends; `u64::MAX` if nothing ends it.
    pub(crate) end: u64,
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
    pub(crate) shadow_tables: Vec<(ValType, Table)>,
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

impl Exports {
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

    /// Steps left of what was granted, asked from inside an import; `i64::MAX` if nothing ends it.
    fn steps_left(&mut self) -> i64 {
        let end = self.as_context().data().meter.end;
        let left = end.saturating_sub(self.charged_so_far());
        if end == u64::MAX { i64::MAX } else { i64::try_from(left).unwrap_or(i64::MAX) }
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
