//! What a tasklet's host provides: WASI, functions of the embedder's own, limits.

mod calls;
mod codec;
mod common;
mod ctx;
mod issued;
mod link;
mod record;
mod seat_glue;
mod state;
mod suspending;
mod typed;
mod wasi_glue;

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use tasklet_instrumenter::{FunctionType, Metadata, ValType};

pub(crate) use codec::Codecs;
pub(crate) use common::{is_common, link_once};
pub use ctx::HostCtx;
pub(crate) use issued::Issued;
pub(crate) use link::link;
pub(crate) use record::{
    NAMESPACE as IMPORT_NAMESPACE, Record as ImportRecord, resume_import, written_import,
};
pub(crate) use seat_glue::resume_seat;
pub(crate) use state::{check_adopted, given_globals, make_globals, written_globals};
pub(crate) use suspending::delivered;
pub use suspending::{Deliver, Delivery, Progress};
use suspending::{Restart, Start};
pub use typed::{HostFn, IntoResults, SuspendFn, SuspendFnWith, WasmResults, WasmType};
pub(crate) use wasi_glue::{NAMESPACE as WASI_NAMESPACE, WasiSetup, resume_wasi};

use crate::limits::Limits;
use crate::sched::Seat;
use crate::state::State;
use crate::value::{Exception, Value};

/// Everything one tasklet is given. Made by [`Host::builder`], used up by
/// [`Tasklet::spawn`](crate::Tasklet::spawn) or [`Tasklet::load`](crate::Tasklet::load).
pub struct Host {
    pub(crate) functions: Arc<HashMap<(String, String), HostFunction>>,
    pub(crate) globals: HashMap<(String, String), Value>,
    /// Imported memories, tables and tags that the tasklet may have as its own.
    pub(crate) adopted: Arc<HashSet<(String, String)>>,
    pub(crate) codecs: Arc<Codecs>,
    pub(crate) wasi: Option<WasiSetup>,
    /// Given by the scheduler.
    pub(crate) seat: Option<Seat>,
    /// What a tasklet that is loaded waits for.
    pub(crate) issued: Option<Issued>,
    pub(crate) trace_imports: bool,
    pub(crate) limits: Limits,
    pub(crate) user: Box<dyn Any + Send + Sync>,
}

/// What an immediate import is, behind its type.
pub(crate) type Implementation =
    dyn Fn(&mut HostCtx<'_>, &[Value]) -> Result<Vec<Value>, HostError> + Send + Sync;

/// One function of the embedder's.
#[derive(Clone)]
pub(crate) struct HostFunction {
    pub(crate) ty: FunctionType,
    pub(crate) kind: Kind,
}

/// The kinds of imports.
#[derive(Clone)]
pub(crate) enum Kind {
    Immediate(Arc<Implementation>),
    Suspending(Arc<Start>),
    Restartable(Arc<Restart>),
}

/// What would make a snapshot possible that is refused because the tasklet is in an import.
pub(crate) mod way_out {
    pub(crate) const RUNNING: &str = "it has to return first, then the tasklet can be paused; `HostCtx::pause_behind` has it \
         paused as soon as can be";
    pub(crate) const PENDING: &str = "it is pending, and what it comes to would be lost; wait for it and run the tasklet on, or \
         declare it safe to issue again with `HostBuilder::restartable`";
}

/// `module::name` of the import with that index.
pub(crate) fn import_name(metadata: &Metadata, import: u32) -> String {
    let name = metadata.imports.get(import as usize);
    name.map(|(module, name)| format!("{module}::{name}")).unwrap_or_default()
}

impl Host {
    /// Starts with nothing.
    pub fn builder() -> HostBuilder {
        HostBuilder { host: Host::empty() }
    }

    /// A host that provides nothing.
    pub fn empty() -> Host {
        Host {
            functions: Arc::default(),
            globals: HashMap::new(),
            adopted: Arc::default(),
            codecs: Arc::default(),
            wasi: None,
            seat: None,
            issued: None,
            trace_imports: false,
            limits: Limits::default(),
            user: Box::new(()),
        }
    }

    /// What a fork of that tasklet is given: all that has no state of its own.
    pub(crate) fn inherited(of: &State) -> Host {
        Host {
            functions: of.heritage.functions.clone(),
            adopted: of.heritage.adopted.clone(),
            codecs: of.codecs.clone(),
            limits: of.limiter.limits.clone(),
            ..Host::empty()
        }
    }

    /// What its forks will inherit.
    pub(crate) fn heritage(&self) -> Heritage {
        Heritage { functions: self.functions.clone(), adopted: self.adopted.clone() }
    }
}

/// What of a host a tasklet's forks are given, and it needs no more itself.
pub(crate) struct Heritage {
    functions: Arc<HashMap<(String, String), HostFunction>>,
    adopted: Arc<HashSet<(String, String)>>,
}

impl Heritage {
    pub(crate) fn is_nothing(&self) -> bool {
        self.functions.is_empty() && self.adopted.is_empty()
    }

    /// A host that provides the same.
    pub(crate) fn host(&self) -> Host {
        let (functions, adopted) = (self.functions.clone(), self.adopted.clone());
        Host { functions, adopted, ..Host::empty() }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut functions: Vec<_> = self.functions.keys().collect();
        functions.sort();
        f.debug_struct("Host")
            .field("functions", &functions)
            .field("globals", &self.globals)
            .field("adopted", &self.adopted)
            .field("codecs", &self.codecs.names())
            .field("wasi", &self.wasi.is_some())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Collects what a [`Host`] provides.
#[derive(Debug)]
pub struct HostBuilder {
    host: Host,
}

impl HostBuilder {
    /// Provides an *immediate* import: it returns before anything else happens, and while it runs
    /// the tasklet cannot be snapshotted. It may call back into the guest through [`HostCtx`]. An
    /// error it returns ends the guest with a trap, unless it is an exception: see
    /// [`HostCtx::throw`].
    pub fn func<F>(
        self,
        module: &str,
        name: &str,
        params: &[ValType],
        results: &[ValType],
        call: F,
    ) -> HostBuilder
    where
        F: Fn(&mut HostCtx<'_>, &[Value]) -> Result<Vec<Value>, HostError> + Send + Sync + 'static,
    {
        self.provide(
            module,
            name,
            (params.to_vec(), results.to_vec()),
            Kind::Immediate(Arc::new(call)),
        )
    }

    /// Provides an import of any kind; one that is there already is replaced.
    fn provide(
        mut self,
        module: &str,
        name: &str,
        ty: (Vec<ValType>, Vec<ValType>),
        kind: Kind,
    ) -> HostBuilder {
        let (params, results) = ty;
        let function = HostFunction { ty: FunctionType { params, results }, kind };
        let import = (module.to_string(), name.to_string());
        Arc::make_mut(&mut self.host.functions).insert(import, function);
        self
    }

    /// Keeps a backtrace of the guest whenever it calls an import of the embedder's, so that a
    /// refusal by [`TaskletHandle::request_snapshot`](crate::TaskletHandle::request_snapshot) on
    /// another thread can show it. That makes calls of imports dearer, by what a backtrace costs.
    pub fn trace_imports(mut self) -> HostBuilder {
        self.host.trace_imports = true;
        self
    }

    /// Sets what the tasklet may take.
    pub fn limits(mut self, limits: Limits) -> HostBuilder {
        self.host.limits = limits;
        self
    }

    /// Attaches data that imports reach through [`HostCtx::user`]. It is not part of snapshots.
    pub fn user(mut self, data: impl Any + Send + Sync) -> HostBuilder {
        self.host.user = Box::new(data);
        self
    }

    /// The host.
    pub fn build(self) -> Host {
        self.host
    }
}

/// Why a host import failed, or the exception that it throws.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HostError {
    message: String,
    thrown: Option<Exception>,
}

impl HostError {
    /// An error with that message, which becomes part of the guest's trap.
    pub fn new(message: impl Into<String>) -> HostError {
        HostError { message: message.into(), thrown: None }
    }

    /// An error that is an exception of the guest's, which is thrown on.
    pub(crate) fn thrown(message: String, exception: Exception) -> HostError {
        HostError { message, thrown: Some(exception) }
    }

    /// The exception that a callback has thrown, or that the import is about to throw: an import
    /// that returns this error throws it into the guest, which can catch it.
    pub fn exception(&self) -> Option<&Exception> {
        self.thrown.as_ref()
    }
}
