//! What a tasklet's host provides: WASI, functions of the embedder's own, limits.

mod codec;
mod ctx;
mod link;
mod seat_glue;
mod state;
mod wasi_glue;

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use tasklet_instrumenter::{FunctionType, ValType};

pub(crate) use codec::Codecs;
pub use ctx::HostCtx;
pub(crate) use link::link;
pub(crate) use seat_glue::resume_seat;
pub(crate) use state::{check_adopted, given_globals, make_globals, written_globals};
pub(crate) use wasi_glue::{NAMESPACE as WASI_NAMESPACE, WasiSetup, resume_wasi};

use crate::limits::Limits;
use crate::sched::Seat;
use crate::value::{Exception, Value};

/// Everything one tasklet is given. Made by [`Host::builder`], used up by
/// [`Tasklet::spawn`](crate::Tasklet::spawn) or [`Tasklet::load`](crate::Tasklet::load).
pub struct Host {
    pub(crate) functions: HashMap<(String, String), HostFunction>,
    pub(crate) globals: HashMap<(String, String), Value>,
    /// Imported memories, tables and tags that the tasklet may have as its own.
    pub(crate) adopted: HashSet<(String, String)>,
    pub(crate) codecs: Codecs,
    pub(crate) wasi: Option<WasiSetup>,
    /// Given by the scheduler.
    pub(crate) seat: Option<Seat>,
    pub(crate) limits: Limits,
    pub(crate) user: Box<dyn Any + Send + Sync>,
}

/// What a host import is, behind its type.
pub(crate) type Implementation =
    dyn Fn(&mut HostCtx<'_>, &[Value]) -> Result<Vec<Value>, HostError> + Send + Sync;

/// One function of the embedder's.
#[derive(Clone)]
pub(crate) struct HostFunction {
    pub(crate) ty: FunctionType,
    pub(crate) call: Arc<Implementation>,
}

impl Host {
    /// Starts with nothing.
    pub fn builder() -> HostBuilder {
        HostBuilder { host: Host::empty() }
    }

    /// A host that provides nothing.
    pub fn empty() -> Host {
        Host {
            functions: HashMap::new(),
            globals: HashMap::new(),
            adopted: HashSet::new(),
            codecs: Codecs::default(),
            wasi: None,
            seat: None,
            limits: Limits::default(),
            user: Box::new(()),
        }
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
        mut self,
        module: &str,
        name: &str,
        params: &[ValType],
        results: &[ValType],
        call: F,
    ) -> HostBuilder
    where
        F: Fn(&mut HostCtx<'_>, &[Value]) -> Result<Vec<Value>, HostError> + Send + Sync + 'static,
    {
        let ty = FunctionType { params: params.to_vec(), results: results.to_vec() };
        let function = HostFunction { ty, call: Arc::new(call) };
        self.host.functions.insert((module.to_string(), name.to_string()), function);
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
