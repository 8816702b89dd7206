//! Imports that are the same for every tasklet of a module: WASI's and the scheduler's. They find
//! their state in the store, so they are linked once for the module and not for each tasklet.

use std::collections::HashMap;

use wasmtime::{ExternType, Func, InstancePre, IntoFunc, Linker, Module as Compiled, Store};

use super::{HostFunction, seat_glue, wasi_glue};
use crate::module::Module;
use crate::sched;
use crate::state::State;

/// Where an import goes: into one store, or for all stores of an engine.
pub(super) trait Provided {
    /// What comes of it.
    type Provided;
    /// Provides it.
    fn provide<P, R>(self, call: impl IntoFunc<State, P, R>) -> Self::Provided;
}

impl Provided for &mut Store<State> {
    type Provided = Func;

    fn provide<P, R>(self, call: impl IntoFunc<State, P, R>) -> Func {
        Func::wrap(self, call)
    }
}

impl<'a> Provided for (&'a mut Linker<State>, &str, &str) {
    type Provided = wasmtime::Result<&'a mut Linker<State>>;

    fn provide<P, R>(self, call: impl IntoFunc<State, P, R>) -> Self::Provided {
        let (linker, module, name) = self;
        linker.func_wrap(module, name, call)
    }
}

/// Links a module that imports nothing else. One whose imports have no such names or other types is
/// left to [`link`](super::link), which says what is wrong.
pub(crate) fn link_once(module: &Compiled) -> Option<InstancePre<State>> {
    let mut linker = Linker::new(module.engine());
    // The same import may be there twice.
    linker.allow_shadowing(true);
    for import in module.imports() {
        let ExternType::Func(ty) = import.ty() else { return None };
        match import.module() {
            wasi_glue::NAMESPACE => wasi_glue::define(&mut linker, import.name(), &ty)?,
            sched::NAMESPACE => seat_glue::define(&mut linker, import.name(), &ty)?,
            _ => return None,
        }
    }
    linker.instantiate_pre(module).ok()
}

/// Whether a tasklet can have the imports as [`link_once`] links them: it has all that they need, and
/// the embedder puts nothing in their place.
pub(crate) fn is_common(
    store: &mut Store<State>,
    module: &Module,
    functions: &HashMap<(String, String), HostFunction>,
) -> bool {
    let mut imports = module.metadata().imports.iter();
    let needs = |namespace: &str| imports.clone().any(|import| import.0 == namespace);
    let (wasi, seat) = (needs(wasi_glue::NAMESPACE), needs(sched::NAMESPACE));
    let replaced = !functions.is_empty() && imports.any(|import| functions.contains_key(import));
    let state = store.data_mut();
    if replaced || (wasi && state.wasi.is_none()) || (seat && state.seat.is_none()) {
        return false;
    }
    if let Some(place) = &mut state.seat {
        place.linked |= seat;
    }
    true
}
